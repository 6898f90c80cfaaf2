"""Runbooks for CSGHub Dataflow: what the notebooks in ``notebooks/`` import.

A notebook opens a :class:`runbooks_lib.run.Run` and hands it to the functions of the stage of its name.
The layers, top to bottom, are a contract that ``make lint`` checks (see pyproject.toml).
"""

__version__ = "0.1.0"
