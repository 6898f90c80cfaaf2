# The life of a pod on a simulated node: `step` names the one kwok Stage that is to be played next, or "" for none.
# So no two Stages ever match the same pod: among several kwok would draw by lot.
#
# An error ends a jq program without an answer, and the pod would wait for ever: each value may be missing or odd.
# A moment is told as a time of day, not as a span: each event of the pod would begin a span anew.

def note($key): (.metadata.annotations // {})["%PREFIX%" + $key] // "";
def number($otherwise): (tonumber? // $otherwise) | floor;
def ours: .image | test("%IMAGES%");
# Whether some of its processes are real: then the notes speak of those, else of all.
def real: any(.spec.containers[]; ours);
def over: .status.phase | IN("Succeeded", "Failed");
def condition($type): first(.status.conditions[]? | select(.type == $type) | .status) // "Unknown";
def after($seconds): fromdateiso8601 + $seconds | todateiso8601;

# The containers that the notes speak of, as they are now.
def told:
  real as $real
  | [.spec.containers[] | select(($real | not) or ours) | .name] as $names
  | [.status.containerStatuses[]? | select(.name | IN($names[]))];
def all_of_them(what): told | (length > 0) and all(.[]; what);
def counted: (note("restarts") | number(0)) as $restarts | (real | not) or all_of_them(.restartCount == $restarts);
def running: counted and all_of_them(.state.running) and condition("Initialized") == "True";
def slow: note("slow-start") | number(0);

# A sidecar among the init containers is not waited for.
def waited_for: [.spec.initContainers[]? | .restartPolicy != "Always"];
def fault:
  note("fault") as $fault
  | if $fault == "stuck-init" and any(waited_for[]; .) then $fault
    elif $fault | IN("crash-loop", "out-of-memory", "evicted") or startswith("image-") then $fault else "" end;
def waits_in:
  waited_for as $each
  | note("init-running") | number($each | index(true)) | [., ($each | length) - 1] | min;

def toward_init:
  note("fail") as $reason | note("fail-message") as $message
  | .status.initContainerStatuses[waits_in].state as $state
  | if condition("Initialized") == "False"
      and (if $reason == "" then $state.running
        else $state.waiting.reason == $reason and ($state.waiting.message // "") == $message end)
    then "" else "init" end;

# Volumes are mounted and images pulled: nothing has begun.
def toward_creation:
  if .status.phase == "Pending" and (.status.containerStatuses | length) > 0 then "" else "create" end;

def toward_running:
  if running and all_of_them(.ready | not) and condition("Ready") == "False" then "" else "run" end;

def toward_ready:
  if running and all_of_them(.ready) and condition("Ready") == "True" and condition("ContainersReady") == "True"
  then "" elif slow > 0 and (running | not) then "run" else "ready" end;
def ready_from: slow as $slow | if $slow > 0 then told[0].state.running.startedAt | after($slow) else "0s" end;

def toward_failure:
  note("fail") as $reason | note("fail-message") as $message
  | if counted and all_of_them(.state.waiting.reason == $reason and (.state.waiting.message // "") == $message)
    then "" else "fail" end;

def toward_no_image:
  told[0].state.waiting.reason as $reason
  | if $reason == "ImagePullBackOff" then "" elif $reason == "ErrImagePull" then "no-image-again" else "no-image" end;

# Started, ended, and started again: the first time at once, then later and later, as a kubelet does.
def round_of_crashes:
  told[0] as $one
  | if $one.state.running then "crash" elif $one.state.terminated and $one.restartCount > 0 then "crash-wait"
    else "crash-start" end;
def crash_from: told[0].state.running.startedAt | after(1);
def crash_wait_from: told[0].state.terminated.finishedAt | after(1);
def crash_start_from:
  told[0] as $one
  | if $one.state.waiting.reason == "CrashLoopBackOff" then
      [10, 10, 20, 40, 80, 160, 300][[$one.restartCount, 6] | min] as $pause
      | ($one.lastState.terminated.finishedAt // (now | todateiso8601)) | after($pause)
    elif $one.state.terminated then crash_wait_from else "0s" end;

# What has no process goes at once; whatever happens to the controller, no pod hangs for ever.
def toward_absence:
  if .status.podIP == null or over then "delete"
  elif note("stopped") == "true" or fault != ""
    or (condition("Initialized") != "True" and note("init-done") != "true") then "end"
  else "end-late" end;
def late_from: .metadata.deletionTimestamp | after(10);

def step:
  if .metadata.deletionTimestamp then toward_absence
  elif over then ""
  elif fault == "stuck-init" then toward_init
  elif fault | IN("crash-loop", "out-of-memory") then round_of_crashes
  elif fault == "evicted" then "evict"
  elif fault != "" then toward_no_image
  elif note("init-done") != "true" then
    if any(waited_for[]; .) and note("init-running") != "" then toward_init else toward_creation end
  elif note("fail") != "" then toward_failure
  elif note("exit-code") != "" and .spec.restartPolicy != "Always" then "exit"
  elif note("ready") == "true" then toward_ready
  else toward_running end;
