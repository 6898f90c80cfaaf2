"""Runbooks for CSGHub Dataflow: what the notebooks in ``notebooks/`` import.

A notebook opens a :class:`runbooks_lib.run.Run` and hands it to the functions of the stage of its name::

    from runbooks_lib.run import Run
    from runbooks_lib.stages import verify

    run = Run.open("verify", "parameters/builtin.yaml")
    report = verify.look(run)

The layers, top to bottom, are a contract that ``make lint`` checks (see pyproject.toml).
"""

__version__ = "0.1.0"
