"""What a part hands back, and how repeated measurements are summed up."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Findings:
    """What a part has found: `figures` by their names in bench.json, and `details` of any kind."""

    figures: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)


def p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Sum up repeated measurements."""
    return {"median": statistics.median(values), "p95": p95(values), "least": min(values), "n": len(values)}
