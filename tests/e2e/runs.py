"""What a test of a stage opens its runs with."""

from __future__ import annotations

from collections.abc import Callable

from runbooks_lib.run import Run

#: Given a stage's name and overrides (``policy__rollout_seconds=12``).
Open = Callable[..., Run]
