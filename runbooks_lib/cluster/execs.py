"""A command in a container of a pod, for the few programs that the package may start there."""

import json
import re
import time
from contextlib import closing
from typing import Any, NamedTuple

from runbooks_lib.cluster import failures
from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.failures import Ask
from runbooks_lib.results import Event

#: What may be started in a pod; docs/threat-model.md says why it is a list.
PROGRAMS = frozenset({"psql", "pg_dump", "pg_restore", "redis-cli", "python3"})
#: Of what a command writes, no more bytes are kept.
LARGEST = 1024 * 1024
#: The channels of the protocol: what it writes, what it complains of, and how it ended.
_OUT, _COMPLAINTS, _ENDED = 1, 2, 3


class Ended(NamedTuple):
    """What a command said, and its exit code; None: it could not be started, or nobody told, and ``why`` says more."""

    out: str
    complaints: str
    code: int | None
    why: str


def execute(
    connection: Connection, namespace: str, pod: str, container: str, command: tuple[str, ...], seconds: float
) -> Ended:
    """Run one of ``PROGRAMS`` without input; see :meth:`runbooks_lib.cluster.Cluster.execute`."""
    import websocket

    if command[0] not in PROGRAMS:
        raise ValueError(f"{command[0]} is not a program to be started in a pod")
    query: dict[str, str | tuple[str, ...]] = {"stdout": "true", "stderr": "true"}
    query |= {"container": container, "command": command}
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
    ask = Ask("create", path, "pods/exec", pod, namespace, query)
    told = {"pod": pod, "namespace": namespace, "container": container, "program": command[0]}
    until, said = time.monotonic() + seconds, {channel: bytearray() for channel in (_OUT, _COMPLAINTS, _ENDED)}
    try:
        with closing(connection.websocket(ask)) as remote:
            while not said[_ENDED]:
                remote.settimeout(max(until - time.monotonic(), 0.001))
                code, frame = remote.recv_data_frame(control_frame=True)
                if code == websocket.ABNF.OPCODE_CLOSE:
                    break
                if code == websocket.ABNF.OPCODE_BINARY and frame.data and frame.data[0] in said:
                    kept = said[frame.data[0]]
                    kept += frame.data[1 : 1 + LARGEST - len(kept)]
    except websocket.WebSocketBadStatusException as error:
        body = error.resp_body if isinstance(error.resp_body, bytes) else b""
        raise failures.refusal(connection.server, ask, error.status_code, body) from error
    except websocket.WebSocketTimeoutException as error:
        raise failures.told("not ended", seconds=f"{seconds:g}", **told) from error
    except (websocket.WebSocketException, OSError) as error:
        raise failures.unreachable(connection.server, error) from error
    finally:
        connection.tell(Event(kind="exec.made", data=told))
    out, complaints, ended = (said[channel].decode(errors="replace") for channel in (_OUT, _COMPLAINTS, _ENDED))
    return Ended(out, complaints, *_ending(ended))


def _ending(status: str) -> tuple[int | None, str]:
    """The exit code in a Status, and the server's words about it."""
    try:
        found: Any = {**json.loads(status or "{}")}
    except (TypeError, ValueError):
        return None, "how it ended can't be read"
    if found.get("status") == "Success":
        return 0, ""
    why = " ".join(str(found.get("message") or "how it ended was not told").split())[:300]
    causes = (found.get("details") or {}).get("causes") or ()
    codes = [str(cause.get("message")) for cause in causes if cause.get("reason") == "ExitCode"]
    # A server that does not give it as a cause says it in words.
    codes += re.findall(r"exit (?:status|code) (\d+)", why)
    return next((int(code) for code in codes if code.isdigit()), None), why
