"""Kubernetes quantities (apimachinery, `resource.Quantity`) as whole numbers, and back."""

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

UNIT = 1000
"""Thousandths in one: of a CPU, a byte, a GPU."""
_SUFFIXES = {"n": Decimal(10) ** -9, "u": Decimal(10) ** -6, "m": Decimal(10) ** -3, "": Decimal(1)}
_SUFFIXES |= {unit: Decimal(1000) ** i for i, unit in enumerate("kMGTPE", 1)}
_SUFFIXES |= {f"{unit}i": Decimal(1024) ** i for i, unit in enumerate("KMGTPE", 1)}
_QUANTITY = re.compile(
    r"\+?([0-9]{1,24}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:[eE]([+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i))?"
)
_MIB, _GIB = UNIT << 20, UNIT << 30


def parse_amount(text: object) -> int:
    """Thousandths of a Kubernetes quantity, rounded up; 0 for what is none."""
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        return 0
    number, exponent, suffix = found.groups()
    scale = Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""]
    return int((Decimal(number) * scale * UNIT).to_integral_value(rounding=ROUND_CEILING))


def parse_amounts(wire: Mapping[str, Any] | None) -> dict[str, int]:
    """Resources as the API server writes them."""
    return {name: parse_amount(amount) for name, amount in (wire or {}).items()}


def to_memory(amount: int) -> str:
    """Thousandths of a byte as whole GiB or MiB, rounded down."""
    return f"{amount // _GIB}Gi" if amount % _GIB == 0 else f"{amount // _MIB}Mi"


def to_cpu(amount: int) -> str:
    """Thousandths of a CPU."""
    return str(amount // UNIT) if amount % UNIT == 0 else f"{amount}m"
