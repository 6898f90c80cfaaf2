"""The approval: a button that says yes to one digest."""

from __future__ import annotations

from typing import Any

from runbooks_lib.results import Plan
from runbooks_lib.run import Run


def ask(run: Run, plan: Plan) -> None:
    """Show what is to be approved, and a button where somebody can press it.

    The button is bound to this plan's digest: a plan made later needs a yes of its own. Nothing happens when
    it is pressed but that the next cell may be run; a cell that waited for it would keep it from working.
    """
    if plan.empty:
        print("There is nothing to approve: nothing would be changed.")
    elif run.interactive:
        _button(run, plan)
    else:
        print(f"To approve this plan, run again with approve={plan.digest}")


def _button(run: Run, plan: Plan) -> None:
    import ipywidgets
    from IPython.display import display

    button = ipywidgets.Button(
        description=f"Approve {plan.digest[:19]}…",
        button_style="warning",
        tooltip=plan.digest,
        layout=ipywidgets.Layout(width="auto"),
    )
    said = ipywidgets.HTML(f"Not approved yet: {plan.digest}")

    def yes(_: Any) -> None:
        run.approve(plan.digest)
        button.disabled = True
        button.description = "Approved"
        said.value = f"Approved: {plan.digest}. Now run the next cell (and those below it)."

    button.on_click(yes)
    display(ipywidgets.VBox([button, said]))
