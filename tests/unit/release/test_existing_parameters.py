"""Parameters of a release that is there; what they say of a real one is in tests/e2e/test_existing_release.py."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks_lib.errors import CheckFailed
from runbooks_lib.release.existing import parameters_of


def test_a_release_that_is_not_there_sends_nobody_to_a_parameters_file(world: Any) -> None:
    with pytest.raises(CheckFailed) as caught:
        parameters_of(world.boundaries, repository="https://charts.example.com")
    assert caught.value.summary == "There is no release dataflow in namespace csghub to read."
    assert caught.value.next_step == (
        "Name another release, or its namespace with --namespace: "
        "`helm list -A` shows the releases and their namespaces."
    )
