"""What a change that destroys data does besides: stop what writes, copy, prove; and start again what was stopped."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runbooks_lib.release.backup.writers import KINDS, Stopped
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.losses import Losses
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.stores import Store
from runbooks_lib.results import Json, Step

#: The check that a waiver names, so that the change goes on without a copy.
CHECK = "backup.ready"


class Around(NamedTuple):
    """The steps before the change and those after it."""

    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()


def around(boundaries: Boundaries, losses: Losses, going: Sequence[Store] = ()) -> Around:
    """The steps that the losses of a change demand.

    Args:
        going: Databases whose volume goes with the change.

    Raises CheckFailed: Which database is meant can't be told, and nobody has accepted that.
    """
    wanted = at_stake(losses, going)
    if not (losses.found or going) or boundaries.waived(CHECK):
        return Around()
    if losses.found and not losses.stores:
        raise refused("no store")
    stopped = stopping(wanted) if going or boundaries.parameters.backup.writers == "stop" else Around()
    return Around((*stopped.before, _copying(boundaries, wanted)), stopped.after)


def at_stake(losses: Losses, going: Iterable[Store]) -> list[Store]:
    """The databases that lose something, each once."""
    return list({store.name: store for store in (*losses.stores, *going)}.values())


def before_removal(boundaries: Boundaries, stores: list[Store], *, any_data: bool) -> Around:
    """The same where a release goes with its data: of the databases whose server goes, too.

    Raises CheckFailed: There is data and no database that can be copied, and nobody has accepted that.
    """
    going = copied(boundaries, [store for store in stores if store.pods is not None])
    if not any_data or boundaries.waived(CHECK):
        return Around()
    if not going:
        raise refused("no store")
    return Around((*stopping(going).before, _copying(boundaries, going)))


def copied(boundaries: Boundaries, stores: Iterable[Store]) -> list[Store]:
    """Those that are copied, since the parameters do not leave them out."""
    return [store for store in stores if store.protocol not in boundaries.parameters.backup.leave_out]


def _copying(boundaries: Boundaries, stores: Iterable[Store]) -> Step:
    data, folder = named(stores), boundaries.parameters.backup.folder
    title = f"Back up {', '.join(data['databases'])} to {folder}, and prove it by restoring it into a server of its own"
    return Step(kind="back-up", title=title, data=data | {"folder": folder})


def named(stores: Iterable[Store]) -> Json:
    """Which databases a step is about, for its data."""
    protocols: dict[str, list[str]] = {}
    for store in stores:
        protocols.setdefault(store.protocol, []).append(store.name)
    return {"databases": [name for names in protocols.values() for name in names], "protocols": protocols}


def stopping(stores: Iterable[Store]) -> Around:
    """The steps that stop what writes into some databases, and start it again; none where nobody is known to."""
    clients = sorted({key for store in stores for key in store.clients if key.kind in KINDS})
    if not clients:
        return Around()
    told = ", ".join(map(str, clients))
    data: Json = {"workloads": [[key.kind, key.name] for key in clients]}
    stop = Step(kind="stop-writers", title=f"Stop what writes, until it is changed: scale {told} to 0", data=data)
    start = Step(kind="start-writers", title="Start again what the chart has not started", data=data)
    return Around((stop,), (start,))


def starting(left: Sequence[Stopped], after: tuple[Step, ...] = ()) -> tuple[Step, ...]:
    """The steps that start again what a run has stopped that did not end, with what this change itself stops.

    Args:
        after: The steps of this change, as :func:`stopping` gives them.
    """
    if not left:
        return after
    told = ", ".join(f"{kind} {name}" for kind, name, _ in left)
    data: Json = {"workloads": [[kind, name] for kind, name, _ in left]}
    step = Step(kind="start-writers", title=f"Start again what a run has stopped: {told}", data=data)
    (own,) = after or (step,)
    return (own.model_copy(update={"data": own.data | {"left": [list(each) for each in left]}}),)
