"""Can what a change would destroy be copied first, and the copy be proved?"""

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters import resolve_path
from runbooks_lib.probes import rows
from runbooks_lib.release import backup
from runbooks_lib.release.losses import losses_of
from runbooks_lib.release.stores import reached

#: Seconds for a look at a database.
_LOOKING = 10.0


def ready(subject: Subject) -> Answer:
    """Whether everything is there for the backup that an upgrade demands; nothing is copied."""
    boundaries = subject.boundaries
    if subject.stored is None:
        return Answer("skip", "there is no release yet")
    losses = losses_of(boundaries, subject.proposal.rendered, "upgrade", subject.stored)
    if not losses.found:
        return Answer("skip", "nothing that this upgrade runs was seen to destroy data")
    try:
        backup.around(boundaries, losses)
        lines = []
        for store in losses.stores:
            with reached(boundaries, store) as address:
                server = rows.server(address, store.access, seconds=_LOOKING)
            used = backup.programs(boundaries.parameters.backup.programs, server.major)
            backup.require_room(resolve_path(boundaries.parameters.backup.folder), server.size)
            lines.append(f"{store.name}: {server.size} bytes, PostgreSQL {server.version}, by programs {used.version}")
    except CheckFailed as error:
        return Answer("fail", error.summary, error.next_step)
    return Answer("pass", "\n".join(lines))
