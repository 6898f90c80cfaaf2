"""Amounts as Kubernetes writes them (``500m``, ``1.5Gi``, ``1e3``), as whole thousandths: they add up exactly."""

import re
from collections import Counter
from decimal import ROUND_CEILING, Decimal

from runbooks_lib.results import Json

#: Of each resource how many thousandths of a core, a byte or a piece.
Amounts = Counter[str]
ONE = 1000

_UNITS = {name: 1024**power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}


def thousandths(text: object) -> int:
    """An amount in thousandths, rounded up; raises ValueError where it is none."""
    from kubernetes.utils.quantity import parse_quantity

    amount: Decimal = parse_quantity(str(text))  # type: ignore[no-untyped-call]
    return int((amount * ONE).to_integral_value(ROUND_CEILING))


def amounts(written: Json | None) -> Amounts:
    """The amounts of a mapping such as a container's ``requests``."""
    return Counter({name: thousandths(text) for name, text in (written or {}).items()})


def told(number: int, resource: str) -> str:
    """Thousandths for people, by what they are of: bytes as Gi or Mi, all else with up to three decimals."""
    value = Decimal(number) / ONE
    if not re.search("memory|storage$|hugepages", resource):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    unit = next((unit for unit in reversed(_UNITS) if abs(value) >= _UNITS[unit]), "")
    return f"{value / _UNITS.get(unit, 1):.1f}".removesuffix(".0") + unit
