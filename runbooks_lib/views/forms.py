"""The approval button, and what is told below a cell while it changes something."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runbooks_lib.release.approval import place_of
from runbooks_lib.release.policy import rule_of
from runbooks_lib.results import Event, Plan
from runbooks_lib.run import Run
from runbooks_lib.telling import telling

#: What is told of a change while it lasts.
_TOLD = ("change.resumed", "change.step", "change.progress", "hook.said", "backup.made", "backup.restored")
_ANOTHER = """Another person must approve this plan ({names}; by {source}).
1. Give {folder}/plan.json to one of them.
2. They read it and run: runbooks approve plan.json --key KEY --out approval.json
3. Put their file at {place} in the project's folder, then run the next cell (in a pipeline: approve=FILE)."""


def ask(run: Run, plan: Plan) -> None:
    """Show what is to be approved, and a button where somebody can press it.

    The button is bound to this plan's digest: a plan made later needs a yes of its own. Nothing happens when
    it is pressed but that the next cell may be run; a cell that waited for it would keep it from working. Where
    another person must approve there is no button: a file takes its place.
    """
    if plan.empty:
        print("There is nothing to approve: nothing would be changed.")
    elif (rule := rule_of(run.boundaries)).approvers:
        print(_ANOTHER.format(names=rule.names, source=rule.source, folder=run.folder, place=place_of(plan)))
    elif run.is_approved(plan):
        print(f"Approved already: {plan.digest}")
    elif run.resumes:
        print(f"The next cell resumes {run.resumes}, if this is what was left of it.")
    elif run.interactive:
        _button(run, plan)
    else:
        print(f"To approve this plan, run again with approve={plan.digest}")


def _button(run: Run, plan: Plan) -> None:
    import ipywidgets
    from IPython.display import display

    label, wide = f"Approve {plan.digest[:19]}…", ipywidgets.Layout(width="auto")
    button = ipywidgets.Button(description=label, button_style="warning", tooltip=plan.digest, layout=wide)
    said = ipywidgets.HTML(f"Not approved yet: {plan.digest}")

    def yes(_: Any) -> None:
        run.approve(plan.digest)
        button.disabled = True
        button.description = "Approved"
        said.value = f"Approved: {plan.digest}. Now run the next cell (and those below it)."

    button.on_click(yes)
    display(ipywidgets.VBox([button, said]))


@contextmanager
def told(run: Run) -> Iterator[None]:
    """Print the steps of a change and each workload's progress while the block runs."""

    def tell(event: Event) -> None:
        if event.kind in _TOLD:
            print(telling(event), flush=True)

    with run.listening(tell):
        yield
