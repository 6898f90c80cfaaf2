"""The approval file: another person's signed yes to one plan, for a while, for one use."""

import getpass
import os
import pwd
import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field

from runbooks_lib.errors import UsageError
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.policy import Rule
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.shown import since
from runbooks_lib.results import Json, Plan, Value
from runbooks_lib.secrets import read_small
from runbooks_lib.signing import opened

KIND = "application/vnd.dataflow-runbooks.approval.v1+json"
#: How long an approval may hold, since so long its nonce is kept; and by how much two clocks may differ.
LONGEST, APART = timedelta(days=7), timedelta(minutes=2)
#: Where else the person at work is named.
_PERSON = ("SUDO_USER", "JUPYTERHUB_USER", "GITHUB_ACTOR", "GITLAB_USER_LOGIN")


class Statement(Value):
    """What is signed."""

    digest: str
    stage: str
    target: Json
    approver: str
    fingerprint: str
    not_before: AwareDatetime
    expires: AwareDatetime
    nonce: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


def verified(boundaries: Boundaries, plan: Plan, path: Path, rule: Rule) -> tuple[Statement, str]:
    """What an approval file says, and its text, if it holds for this plan, here and now.

    Raises ApprovalError: It does not.
    """
    try:
        envelope = read_small(path)
        if not (found := opened(envelope, KIND, rule.approvers)):
            raise refused("not listed", path=path, source=rule.source, names=rule.names)
        said = Statement.model_validate_json(found[1])
    except UsageError as error:
        raise refused("file unreadable", why=error.summary) from error
    except ValueError as error:
        raise refused("no approval file", path=path) from error
    # The API server's clock, which the person at work does not set.
    by, now = found[0], boundaries.cluster.clock()[0]
    wrong = {
        "for another target": (said.stage, said.target) != (plan.stage, plan.target),
        "for another plan": said.digest != plan.digest,
        "other name": said.approver != by.name,
        "own approval": _short(by.name) in set(map(_short, _at_work(boundaries))),
        "not yet valid": said.not_before > now + APART,
        "expired": said.expires <= now,
        "too long": said.expires - said.not_before > LONGEST,
    }
    if case := next((case for case, is_so in wrong.items() if is_so), ""):
        told = said.model_dump(mode="json") | {"plan": plan.digest, "listed": by.name, "now": f"{now:%FT%TZ}"}
        told |= {"since": since(said.digest, plan)}
        raise refused(case, path=path, **told | {"target": ", ".join(map(str, said.target.values()))})
    return said, envelope.decode()


def _at_work(boundaries: Boundaries) -> list[str]:
    """The names by which the person who runs this is known: to the cluster, to this machine, to the pipeline."""
    names = [boundaries.cluster.who().get("username", ""), getpass.getuser(), *map(os.environ.get, _PERSON)]
    with suppress(KeyError):
        # Besides the name in the environment, which anyone can set.
        names.append(pwd.getpwuid(os.getuid()).pw_name)
    return [name for name in names if name]


def _short(name: str) -> str:
    """``oidc:Li.Wei@example.com`` and ``li.wei`` are taken for one person."""
    return re.split(r"[:/\\]", name.casefold())[-1].partition("@")[0]
