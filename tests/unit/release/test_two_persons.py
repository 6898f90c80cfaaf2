"""Another person's signed approval: who may give it, for what, for how long; and that nobody gets around it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from runbooks_lib.errors import ApprovalError, TargetRefused
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.approval import approved, asked_of, place_of
from runbooks_lib.release.approver import sign
from runbooks_lib.release.lease import Lease
from runbooks_lib.release.policy import rule_of
from runbooks_lib.release.signed import KIND
from runbooks_lib.results import Approval, Json, Plan, Step, digest_bytes
from runbooks_lib.signing import Person, Signer, opened, sealed

PLAN = Plan(stage="install", target={"release": "dataflow"}, steps=(Step(kind="a", title="First"),))
OTHER = PLAN.model_copy(update={"impact": ("More.",)})
HOURS = timedelta(hours=2)


class Approver:
    """A person with a key that was made for this test."""

    def __init__(self, name: str = "li.wei") -> None:
        private = Ed25519PrivateKey.generate()
        self.person = Person(name, private.public_key().public_bytes_raw())
        self.signer: Signer = (self.person, private.sign)

    def signs(self, plan: Plan = PLAN, lasts: timedelta = HOURS) -> str:
        return sign(plan, self.signer, lasts)

    def says(self, **otherwise: Any) -> str:
        """A well signed statement that says some things otherwise than ``runbooks approve`` does."""
        return self.seals(json.dumps(statement(self.signs()) | otherwise).encode())

    def seals(self, content: bytes, kind: str = KIND) -> str:
        return sealed(content, kind, self.signer)


def statement(envelope: str) -> Json:
    return dict(json.loads(base64.b64decode(json.loads(envelope)["payload"])))


def at(**since: float) -> str:
    return (datetime.now(UTC) + timedelta(**since)).isoformat()


@pytest.fixture
def li() -> Approver:
    return Approver()


@pytest.fixture
def listing(world: Any) -> Callable[..., None]:
    """Puts a ConfigMap into the cluster."""

    def put(text: str, name: str = "runbooks-approval", namespace: str = "kube-system", **more: str) -> None:
        metadata = {"name": name, "namespace": namespace}
        data = {"approvers": text, **more}
        world.cluster.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    return put


@pytest.fixture
def given(world: Any, tmp_path: Path) -> Callable[[str], Approval]:
    """Approves the plan with a file of this content."""

    def give(content: str) -> Approval:
        (tmp_path / "approval.json").write_text(content)
        return approved(world.boundaries, PLAN, ("parameter", "approval.json"))

    return give


@pytest.fixture
def two_persons(li: Approver, listing: Any) -> None:
    listing(f"# those who may\n\n{Approver('zoe').person.line}\n{li.person.line}\n")


# ---- what a plan says of it


@pytest.mark.usefixtures("two_persons")
def test_whoever_reads_a_plan_is_told_who_else_must_sign_it(world: Any) -> None:
    told = "It takes two: one of zoe, li.wei must sign it with `runbooks approve`, by ConfigMap kube-system/runbooks-approval."
    assert list(asked_of(world.boundaries, PLAN)) == [told]
    assert not list(asked_of(world.boundaries, PLAN.model_copy(update={"steps": ()}))), "nothing to approve"


def test_one_whose_own_yes_is_enough_is_told_nothing(world: Any, listing: Any) -> None:
    assert not list(asked_of(world.boundaries, PLAN))
    listing("no approver's line")
    (told,) = asked_of(world.boundaries, PLAN)
    assert told == (
        "As it is, nobody can approve it: Line 1 of the approvers in ConfigMap kube-system/runbooks-approval is no "
        "Ed25519 key with a name. Next: Let an administrator correct it: ssh-ed25519 AAAA… NAME, as `runbooks keys new` prints it."
    )


def test_a_plan_says_what_is_next_where_nobody_is_named_who_may_approve(world: Any, listing: Any) -> None:
    listing("# nobody yet")
    (told,) = asked_of(world.boundaries, PLAN)
    assert told.startswith("As it is, nobody can approve it: Two persons are needed, and ConfigMap ")
    assert " names nobody who may approve. Next: Let an administrator put the lines that `runbooks keys new`" in told
    assert "Nothing was changed" not in told


# ---- the file


@pytest.mark.usefixtures("two_persons")
def test_the_file_of_a_listed_person_approves_and_the_journal_holds_it(world: Any, li: Approver, given: Any) -> None:
    envelope = li.signs()
    made = given(envelope)
    assert (made.digest, made.how, made.by) == (PLAN.digest, "file", "li.wei")
    assert made.fingerprint == li.person.fingerprint
    assert made.approvers == rule_of(world.boundaries).digest
    assert made.nonce == statement(envelope)["nonce"]
    last = world.told[-1]
    assert last.kind == "approval.given"
    assert last.data["source"] == "ConfigMap kube-system/runbooks-approval"
    assert last.data["envelope"] == envelope
    assert Redactor().redact_data(last.data) == last.data, "nothing of it looks like a secret"
    assert Approval.model_validate_json(made.model_dump_json()) == made


@pytest.mark.usefixtures("two_persons")
def test_the_end_of_an_approval_is_kept_in_one_time_zone(li: Approver, given: Any) -> None:
    """The Lease compares such texts."""
    end = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    made = given(li.says(expires=end.astimezone(timezone(timedelta(hours=8))).isoformat()))
    assert made.expires == end.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.usefixtures("two_persons")
@pytest.mark.parametrize("may", [True, False])
def test_an_account_that_may_write_the_list_is_told(world: Any, li: Approver, given: Any, may: bool) -> None:
    world.cluster.refused |= set() if may else {("update", "configmaps")}
    given(li.signs())
    assert ("approval.editable" in world.kinds()) == may


def altered(envelope: str) -> str:
    """Another plan's digest, below the signature of this one's."""
    content = json.loads(envelope)
    said = statement(envelope) | {"digest": OTHER.digest}
    return json.dumps(content | {"payload": base64.b64encode(json.dumps(said).encode()).decode()})


def claimed(envelope: str, li: Approver) -> str:
    """Signed by one, and said to be signed by another."""
    content = json.loads(envelope)
    content["signatures"][0]["keyid"] = li.person.fingerprint
    return json.dumps(content)


REFUSED: dict[str, tuple[Callable[[Approver], str], str]] = {
    "a key that is not listed": (lambda li: Approver("li.wei").signs(), "signed by nobody whom ConfigMap kube-system/"),
    "with the id of one that is": (lambda li: claimed(Approver().signs(), li), "was altered, or is signed by nobody"),
    "an altered payload": (lambda li: altered(li.signs()), "was altered"),
    "another kind of envelope": (lambda li: li.seals(b"{}", "text/plain"), "is no approval that"),
    "another plan": (lambda li: li.signs(OTHER), f"approves another plan .{OTHER.digest}. than"),
    "another target": (
        lambda li: li.says(target={"release": "other"}),
        "another target or stage than this: install in other[.]",
    ),
    "another stage": (
        lambda li: li.says(stage="uninstall"),
        "another target or stage than this: uninstall in dataflow[.]",
    ),
    "another name": (lambda li: li.says(approver="zoe"), "signed as zoe, with a key that is listed for li.wei"),
    "expired": (
        lambda li: li.says(expires=at(seconds=-1), not_before=at(hours=-2)),
        "was valid until .* by the cluster",
    ),
    "not yet valid": (lambda li: li.says(not_before=at(minutes=5)), "is valid from .* on, and it is"),
    "for too long": (lambda li: li.says(expires=at(days=8)), "for more than seven days"),
    "no time at all": (lambda li: li.says(expires="2026-01-01"), "is no approval that"),
    "a nonce of one's own": (lambda li: li.says(nonce="again"), "is no approval that"),
    "more than is known": (lambda li: li.says(also="this"), "is no approval that"),
    "garbage": (lambda li: "\0garbage", "is no approval that"),
    "no object": (lambda li: "[]", "is no approval that"),
    "no text": (lambda li: li.seals(b"\xff"), "is no approval that"),
    "no base64": (lambda li: li.signs().replace('"sig": "', '"sig": "!'), "is no approval that"),
    "no signature": (lambda li: json.dumps(json.loads(li.signs()) | {"signatures": []}), "is no approval that"),
    "deep nesting": (lambda li: "[" * 60_000, "is no approval that"),
    "a huge file": (lambda li: li.signs() + " " * (1 << 16), "larger than 64 KiB"),
}


@pytest.mark.usefixtures("two_persons")
@pytest.mark.parametrize(("made", "said"), REFUSED.values(), ids=REFUSED)
def test_any_other_file_is_refused(world: Any, li: Approver, given: Any, made: Any, said: str) -> None:
    with pytest.raises(ApprovalError, match=said) as caught:
        given(made(li))
    assert "Nothing was changed." in caught.value.summary
    assert caught.value.exit_code == 4
    assert world.kinds() == ["approval.missing"]


@pytest.mark.usefixtures("two_persons")
@pytest.mark.parametrize(
    "how", [None, ("button", PLAN.digest), ("parameter", PLAN.digest), ("parameter", OTHER.digest)]
)
def test_a_digest_or_the_button_is_not_enough(world: Any, how: Any) -> None:
    with pytest.raises(ApprovalError, match=r"needs the signed approval of another person .zoe, li\.wei.") as caught:
        approved(world.boundaries, PLAN, how)
    assert "runbooks approve plan.json --key KEY" in caught.value.next_step


@pytest.mark.usefixtures("two_persons")
def test_a_link_is_followed_to_a_file_and_to_nothing_else(world: Any, li: Approver, given: Any, tmp_path: Path) -> None:
    """A mounted Secret is a link; whatever stands there must be signed."""
    (tmp_path / "signed.json").write_text(li.signs())
    for to in ("signed.json", "gone.json", "/dev/zero", "."):
        path = tmp_path / "approval.json"
        path.unlink(missing_ok=True)
        path.symlink_to(to)
        if to == "signed.json":
            assert approved(world.boundaries, PLAN, ("parameter", str(path))).by == "li.wei"
        else:
            with pytest.raises(ApprovalError, match="The approval was not found"):
                approved(world.boundaries, PLAN, ("parameter", str(path)))


@pytest.mark.usefixtures("two_persons")
def test_in_jupyterlab_the_file_is_looked_for_at_its_place(world: Any, li: Approver, tmp_path: Path) -> None:
    with pytest.raises(ApprovalError, match="The approval was not found"):
        approved(world.boundaries, PLAN, None, awaited=True)
    path = tmp_path / place_of(PLAN)
    path.parent.mkdir()
    path.write_text(li.signs())
    assert approved(world.boundaries, PLAN, None, awaited=True).by == "li.wei"
    with pytest.raises(ApprovalError, match="needs the signed approval of another person"):
        approved(world.boundaries, PLAN, None)


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("LOGNAME", "Li.Wei"),
        ("SUDO_USER", "li.wei"),
        ("JUPYTERHUB_USER", "li.wei"),
        ("GITHUB_ACTOR", "li.wei"),
        ("GITLAB_USER_LOGIN", "li.wei"),
        ("", "oidc:li.wei@example.com"),
    ],
)
@pytest.mark.usefixtures("two_persons")
def test_nobody_approves_what_they_run_themselves(
    world: Any, li: Approver, given: Any, monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    if variable:
        monkeypatch.setenv(variable, name)
    else:
        monkeypatch.setattr(world.cluster, "who", lambda: {"username": name})
    with pytest.raises(ApprovalError, match=r"was signed by li\.wei, who is at work here"):
        given(li.signs())


def test_the_name_in_the_environment_hides_no_user(
    world: Any, listing: Any, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd

    me = Approver(pwd.getpwuid(os.getuid()).pw_name)
    listing(me.person.line)
    monkeypatch.setenv("LOGNAME", "somebody")
    with pytest.raises(ApprovalError, match="who is at work here"):
        given(me.signs())


@pytest.mark.usefixtures("two_persons")
@pytest.mark.parametrize(
    ("ahead", "said"), [(timedelta(hours=3), "was valid until"), (-timedelta(hours=1), "valid from")]
)
def test_the_clock_is_the_clusters(world: Any, li: Approver, given: Any, ahead: timedelta, said: str) -> None:
    world.cluster.ahead = ahead
    with pytest.raises(ApprovalError, match=said):
        given(li.signs())


# ---- once


def found(world: Any) -> Json | None:
    return world.cluster.get("coordination.k8s.io/v1", "Lease", "runbooks-dataflow", "csghub")  # type: ignore[no-any-return]


@pytest.mark.usefixtures("two_persons")
def test_an_approval_holds_for_one_change(world: Any, li: Approver, given: Any) -> None:
    envelope = li.signs()
    first = Lease(world.boundaries, stage="install", approval=given(envelope))
    first.take()
    with pytest.raises(ApprovalError, match="This approval was used before"):
        Lease(world.boundaries, stage="install", approval=given(envelope)).require_free()
    with pytest.raises(TargetRefused):
        Lease(world.boundaries, stage="install", approval=given(li.signs())).require_free()
    first.give_back()
    for replay in ("require_free", "take"):
        with pytest.raises(ApprovalError, match="This approval was used before") as caught:
            getattr(Lease(world.boundaries, stage="install", approval=given(envelope)), replay)()
        assert caught.value.exit_code == 4


@pytest.mark.usefixtures("two_persons")
def test_the_lease_that_remembers_is_free_and_forgets_what_has_expired(world: Any, li: Approver, given: Any) -> None:
    for _ in range(2):
        lease = Lease(world.boundaries, stage="install", approval=given(li.signs()))
        lease.take()
        lease.give_back()
    kept = found(world)
    assert kept is not None
    assert "holderIdentity" not in kept["spec"]
    used = kept["metadata"]["annotations"]
    assert len(used) == 2, "who held it is forgotten"
    assert all(key.startswith("runbooks/used-") for key in used)
    assert "lease.taken-over" not in world.kinds()
    used.update(dict.fromkeys(used, "2026-01-01T00:00:00Z"))
    last = Lease(world.boundaries, stage="upgrade")
    last.take()
    last.give_back()
    assert found(world) is None


# ---- who must approve


def test_the_parameters_can_ask_for_another_person(world: Any, li: Approver, listing: Any, given: Any) -> None:
    listing(li.person.line, "approvers", "security")
    approvers = {"configmap": "approvers", "namespace": "security"}
    world.settings["policy"] |= {"approval": "two-person", "approvers": approvers}
    with pytest.raises(ApprovalError, match="by ConfigMap security/approvers"):
        approved(world.boundaries, PLAN, ("button", PLAN.digest))
    assert given(li.signs()).by == "li.wei"


@pytest.mark.usefixtures("two_persons")
def test_the_parameters_weaken_nothing_that_the_cluster_rules(
    world: Any, listing: Any, given: Any, tmp_path: Path
) -> None:
    mine = Approver("friend")
    line = mine.person.line.encode()
    listing(mine.person.line, "mine", "csghub")
    (tmp_path / "mine").write_bytes(line)
    weak: list[Json] = [
        {"approval": "operator"},
        {"approval": "two-person", "approvers": {"configmap": "mine", "namespace": "csghub"}},
        {"approval": "two-person", "approvers": {"file": "mine", "digest": digest_bytes(line)}},
    ]
    for policy in weak:
        world.settings["policy"] = policy
        with pytest.raises(ApprovalError, match="needs the signed approval of another person"):
            approved(world.boundaries, PLAN, ("button", PLAN.digest))
        with pytest.raises(ApprovalError, match="signed by nobody whom ConfigMap kube-system/runbooks-approval lists"):
            given(mine.signs())


@pytest.mark.parametrize("approval", ["operator", "two-person"])
def test_a_policy_that_may_not_be_read_is_no_permission(world: Any, approval: str) -> None:
    world.settings["policy"]["approval"] = approval
    world.cluster.refused.add(("get", "runbooks-approval"))
    with pytest.raises(ApprovalError, match="may not read ConfigMap kube-system/runbooks-approval") as caught:
        approved(world.boundaries, PLAN, ("button", PLAN.digest))
    assert "kubectl create role runbooks-approval --namespace kube-system --verb=get" in caught.value.next_step


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"approvers": ""}, "names nobody who may approve"),
        ({"approvers": "# none\n"}, "names nobody who may approve"),
        (
            {"approvers": "ssh-ed25519 AAAA li.wei"},
            "Line 1 of the approvers in ConfigMap kube-system/runbooks-approval",
        ),
        ({"approvers": "\nssh-rsa AAAA li.wei"}, "Line 2 of the approvers"),
        ({"approvers": "", "policy": "Operator"}, "names nobody who may approve"),
    ],
)
def test_a_list_that_is_not_as_it_should_be_is_refused(
    world: Any, listing: Any, entries: dict[str, str], said: str
) -> None:
    listing(entries.pop("approvers"), **entries)
    with pytest.raises(ApprovalError, match=said):
        approved(world.boundaries, PLAN, ("button", PLAN.digest))


def test_a_key_without_a_name_spoils_the_list(world: Any, li: Approver, listing: Any) -> None:
    listing(f"{li.person.line}\n{li.person.line.rpartition(' ')[0]}")
    with pytest.raises(ApprovalError, match="Line 2 of the approvers"):
        rule_of(world.boundaries)


def test_a_cluster_that_rules_operator_leaves_more_to_the_parameters(world: Any, li: Approver, listing: Any) -> None:
    listing(li.person.line, policy="operator\n")
    assert not rule_of(world.boundaries).approvers
    world.settings["policy"]["approval"] = "two-person"
    assert rule_of(world.boundaries).names == "li.wei"


def test_two_persons_without_a_list_approve_nothing(world: Any) -> None:
    world.settings["policy"]["approval"] = "two-person"
    with pytest.raises(ApprovalError, match="ConfigMap kube-system/runbooks-approval names nobody"):
        approved(world.boundaries, PLAN, ("button", PLAN.digest))


def test_a_file_of_approvers_is_the_pinned_one(world: Any, li: Approver, given: Any, tmp_path: Path) -> None:
    path = tmp_path / "approvers"
    path.write_text(li.person.line)
    pinned = digest_bytes(path.read_bytes())
    world.settings["policy"] |= {"approval": "two-person", "approvers": {"file": "approvers", "digest": pinned}}
    made = given(li.signs())
    assert (made.by, made.approvers) == ("li.wei", pinned)
    path.write_text(f"{li.person.line}\n{Approver('friend').person.line}\n")
    with pytest.raises(ApprovalError, match=f"approvers are not the pinned ones: .* pins {pinned}"):
        given(li.signs())


def test_what_is_signed_is_as_the_standard_encodes_it(li: Approver) -> None:
    """The example of the DSSE protocol's own text."""
    envelope = json.loads(li.seals(b"hello world", "http://example.com/HelloWorld"))
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    Ed25519PublicKey.from_public_bytes(li.person.key).verify(
        signature, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    persons = {li.person.fingerprint: li.person}
    assert opened(json.dumps(envelope).encode(), "http://example.com/HelloWorld", persons) == (
        li.person,
        b"hello world",
    )
