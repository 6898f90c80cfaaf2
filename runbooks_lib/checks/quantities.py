"""Amounts as Kubernetes writes them (``500m``, ``1.5Gi``, ``1e3``), as whole thousandths: they add up exactly."""

import re
from decimal import ROUND_CEILING, Decimal

_WRITTEN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)")
_UNITS = {name: Decimal(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def thousandths(text: object) -> int:
    """An amount in thousandths, rounded up; raises ValueError where it is none."""
    found = _WRITTEN.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text} is no amount")
    number, exponent, unit = found.groups()
    factor = _UNITS.get(unit) or Decimal(10) ** int(exponent or _POWERS.get(unit, 0))
    return int((Decimal(number) * factor * 1000).to_integral_value(ROUND_CEILING))
