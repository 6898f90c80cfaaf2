"""Helm's error texts and what they mean. Helm always exits with 1; only the text tells what happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from runbooks_lib.errors import CheckFailed, OutcomeUnknown, RunbookError, TargetRefused, Unreachable, UsageError
from runbooks_lib.process import Completed

#: Characters of Helm's words in an error or an event: a schema error may repeat all values.
LONGEST = 2000


@dataclass(frozen=True)
class _Known:
    """A row of the table of Helm's errors: what its text means, and what to do."""

    pattern: str
    error: type[RunbookError]
    summary: str
    next_step: str


# Rows are tried in order.
_KNOWN = (
    _Known(
        r"cannot re-?use a name that is still in use",
        TargetRefused,
        "A release of this name exists already.",
        "Run notebook 04_upgrade to change it, or 05_uninstall to remove it first.",
    ),
    _Known(
        r"another operation \(install/upgrade/rollback\) is in progress",
        TargetRefused,
        "Helm says that another operation on this release is in progress, or was cut off.",
        "Look who runs it: `helm history`. If nobody does, it was killed; see *If it fails* in the notebook.",
    ),
    _Known(
        r"has no deployed releases|release: not found",
        UsageError,
        "There is no such release in this namespace.",
        "Run notebook 02_install, or correct target.release and target.namespace.",
    ),
    _Known(
        r"x509|failed to verify certificate",
        Unreachable,
        "A server showed a certificate that is not trusted.",
        "Compare certificate-authority-data in the kubeconfig with the cluster's CA, or the repository's CA.",
    ),
    _Known(
        r"40[13] (Unauthorized|Forbidden)|unexpected status.*: 40[13]|unauthorized: ",
        Unreachable,
        "The chart repository did not accept the credentials.",
        "Log in to it outside of the runbook and fetch the chart to a file; name that in chart.path.",
    ),
    _Known(
        r"provide credentials|Unauthorized",
        Unreachable,
        "The cluster did not accept the credentials.",
        "Log in again (the token may have expired), then run this notebook from the top.",
    ),
    _Known(
        r"cluster unreachable|reachability check failed|connection refused|no such host|i/o timeout",
        Unreachable,
        "Helm could not reach a server.",
        "Check the address in the message, VPN and proxy settings, then run this notebook again.",
    ),
    _Known(
        r"is forbidden|could not get information about the resource",
        RunbookError,
        "The account may not do this.",
        "Ask for the permission that the message names; notebook 01_prerequisites lists all of them.",
    ),
    _Known(
        r'chart ".*" (matching|version) .* not found|not found in .* (index|repository)',
        UsageError,
        "The repository has no such chart version.",
        "Correct chart.name and chart.version; `helm search repo --versions` lists them.",
    ),
    _Known(
        r"failed to fetch|looks like .* is not a valid chart repository|could not be reached",
        Unreachable,
        "The chart repository did not give the chart.",
        "Open chart.repository in a browser from this machine; check proxy settings.",
    ),
    _Known(
        r'repo .* not found|path ".*" not found|no chart name found|Chart.yaml file is missing',
        UsageError,
        "The chart was not found where the parameters say.",
        "Correct chart.repository, chart.name or chart.path.",
    ),
    _Known(
        r"does not appear to be a gzipped archive|not a gzip|chart archive",
        UsageError,
        "The file is no chart archive.",
        "Name the archive (.tgz) that `helm package` or `helm pull` made in chart.path.",
    ),
    _Known(
        r"resource mapping not found|no matches for kind",
        CheckFailed,
        "The cluster does not know a kind that the chart uses.",
        "Install its definitions first: `helm show crds CHART | kubectl apply --server-side -f -`.",
    ),
    _Known(
        r"values don't meet the specifications",
        UsageError,
        "The chart refuses these values.",
        "Correct the keys that the message names in the parameters file.",
    ),
    _Known(
        r"execution error at|error calling include|nil pointer|YAML parse error|parse error at",
        UsageError,
        "The chart can't be rendered with these values.",
        "Correct the value that the message names in the parameters file.",
    ),
    _Known(
        r"invalid ownership metadata|already exists",
        TargetRefused,
        "An object of this name exists and does not belong to this release.",
        "Its annotation meta.helm.sh/release-name names the owner; rename the release or remove it.",
    ),
    _Known(
        r'namespaces ".*" not found',
        CheckFailed,
        "The namespace does not exist.",
        "Run the notebook again from *Plan*, whose first step makes it, or correct target.namespace.",
    ),
    _Known(
        r"context deadline exceeded|timed out waiting|not ready\. status: ",
        OutcomeUnknown,
        "Helm's time was up before everything was ready.",
        "Run notebook 03_verify to see what is there; policy.command_seconds is Helm's time.",
    ),
    _Known(
        r"context canceled",
        OutcomeUnknown,
        "Helm was stopped before it was done.",
        "Run notebook 03_verify to see what is there.",
    ),
)


def failure(done: Completed, redacted: Callable[[str], str]) -> RunbookError:
    """The error for a helm call that did not end well.

    Args:
        done: The call.
        redacted: Takes the secrets out of a text.
    """
    verb = next((word for word in done.argv[1:] if not word.startswith("-")), "")
    if done.timed_out:
        return OutcomeUnknown(
            f"`helm {verb}` did not end within {done.seconds:.0f} s and was stopped (SIGTERM).",
            next_step="Run notebook 03_verify to see what is there.",
        )
    # Redacted while its lines are as they came: a secret may hold white space.
    text = shortened(" ".join(error_text(redacted(done.stderr)).split()))
    said = error_text(done.stderr)
    for known in _KNOWN:
        if re.search(known.pattern, said, re.IGNORECASE):
            return known.error(f"{known.summary} Helm says: {text}", next_step=known.next_step)
    return RunbookError(
        f"`helm {verb}` failed. Helm says: {text}",
        next_step="Read Helm's words; see *If it fails* at the end of the notebook.",
    )


def error_text(stderr: str) -> str:
    """Helm's ``Error:`` and what follows; Helm 4 logs other lines before it, which may speak of other things."""
    found = re.search(r"^Error: (.*)", stderr, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else stderr


def shortened(text: str) -> str:
    """A text of bounded length."""
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"
