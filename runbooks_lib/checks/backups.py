"""Can what a change would destroy be copied first, and the copy be proved?"""

from runbooks_lib.checks import release
from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.errors import CheckFailed
from runbooks_lib.release import backup, claims
from runbooks_lib.release.losses import losses_of
from runbooks_lib.release.manifest import objects_of
from runbooks_lib.release.recovery import way_out
from runbooks_lib.release.states import Left
from runbooks_lib.release.stores import stores


def ready(subject: Subject) -> Answer:
    """Whether everything is there for the backup that an upgrade demands; nothing is copied."""
    boundaries = subject.boundaries
    if subject.stored is None:
        return Answer("skip", "there is no release yet")
    stored, rendered = subject.stored, subject.proposal.rendered
    losses = losses_of(boundaries, rendered, "upgrade", stored)
    names = claims.removed(boundaries, stored, rendered, boundaries.all_live(objects_of(stored.manifest)))
    if not losses.found and not names:
        return Answer("skip", "nothing of this upgrade was seen to destroy data")
    try:
        going = claims.stores_in(boundaries, stored, names)
        backup.around(boundaries, losses, going)
        lines = backup.seen(boundaries, backup.at_stake(losses, going))
    except CheckFailed as error:
        return Answer("fail", error.summary, error.next_step)
    return Answer("pass", "\n".join(lines))


def before_removal(subject: release.Subject) -> Answer:
    """The same for an uninstall that removes data."""
    boundaries = subject.boundaries
    if boundaries.parameters.uninstall.policy == "keep-data":
        return Answer("skip", "uninstall.policy is keep-data")
    try:
        going = [store for store in stores(boundaries, subject.objects) if store.pods is not None]
        backup.before_removal(boundaries, going, any_data=True)
        lines = backup.seen(boundaries, backup.copied(boundaries, going))
    except CheckFailed as error:
        return Answer("fail", error.summary, error.next_step)
    return Answer("pass", "\n".join(lines) or "nothing of it can be copied, and that is accepted")


def state(subject: release.Subject) -> Answer:
    """In which state the release was left, and what is recommended; a state is no fault of whoever looks at it."""
    way, says = way_out(Left(subject.boundaries, subject.stored))
    return Answer("warn" if way else "pass", "\n".join(says[:-1]), says[-1].removeprefix("Next: "))


def whole(subject: release.Subject) -> Answer:
    """Whether the backup that is to be put back is as it was made, and fits what the release uses."""
    boundaries = subject.boundaries
    folder = boundaries.parameters.recover.restore
    if not folder:
        return Answer("skip", "recover.restore names none")
    try:
        _, found = backup.read(folder)
        wanted = backup.pairs(stores(boundaries, subject.objects), found)
        there = backup.seen(boundaries, [store for store, _ in wanted])
        lines = [f"{says} ← {copy.says}" for says, (_, copy) in zip(there, wanted, strict=True)]
    except CheckFailed as error:
        return Answer("fail", error.summary, error.next_step)
    return Answer("pass", "\n".join((f"of run {found.run}, made {found.made}", *lines)))
