"""A backup at any time: the databases copied and proved by one command, with a record of its own, and nothing changed."""

from runbooks_lib import records
from runbooks_lib.release import backup
from runbooks_lib.results import Event, Observe, RunSummary, unobserved
from runbooks_lib.run import Overrides, Run


def back_up(
    parameters_file: str, *, overrides: Overrides = (), output_directory: str = "", observe: Observe = unobserved
) -> RunSummary:
    """Copy the databases of the release, and say how that ended, also where it failed or was interrupted.

    Args:
        observe: Gets every event as it is journalled. The others are those of :meth:`runbooks_lib.run.Run.open`.

    Raises:
        ParametersError: The parameters can't be used; no run was begun.
        RunbookError: The target can't be reached; the record says so.
        RecordError: The record could not be made or closed.
    """
    run = Run.open("backup", parameters_file, overrides=overrides, output_directory=output_directory)
    with run.listening(observe):
        try:
            made, says = backup.of_release(run.boundaries)
            run.save("evidence/backup.json", made.model_dump_json(indent=1))
        except BaseException as error:  # noqa: BLE001 - a run ends in its record, whatever went wrong
            told = records.describe(error)
            run.observe(Event(kind="error.raised", data=told))
            closed = run.recording.close(None, closer="command")
            return closed.model_copy(update={"next_step": told["next_step"]})
    return run.recording.close("done", says, closer="command")
