"""Saying nothing rather than something wrong: the confidence that a wanted precision asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from sentilora.artifacts import AbstentionPoint
from sentilora.errors import ConfigError, ModelError

UNCERTAIN = "uncertain"


def point_for(precision: float, points: Sequence[AbstentionPoint]) -> AbstentionPoint:
    """The point that reaches `precision` at the lowest confidence, and so answers most.

    Args:
        precision: Wanted share of right answers among those given, in (0, 1].
        points: Measured on validation texts; none for a model that measured none.

    Raises:
        ConfigError: `precision` is out of range.
        ModelError: There is no point, or none reaches it.
    """
    if not 0 < precision <= 1:
        raise ConfigError(f"a precision of {precision:g} is none: give a share above 0 and at most 1, such as 0.95")
    if not points:
        raise ModelError(
            "this model's folder does not record how sure its answers must be for a wanted precision: "
            "train it again with this version, or leave --precision out"
        )
    found = lowest_reaching(precision, points)
    if found is None:
        best = max(points, key=lambda point: (point.precision, point.coverage))
        raise ModelError(
            f"no confidence gave a precision of {precision:g} on this model's validation texts: the best is "
            f"{_rounded_down(best.precision)}, answering {best.coverage:.1%} of them"
        )
    return found


def lowest_reaching(precision: float, points: Sequence[AbstentionPoint]) -> Optional[AbstentionPoint]:
    """The point of the lowest confidence that reaches `precision`; None where none does."""
    reaching = (point for point in points if point.precision >= precision)
    return min(reaching, key=lambda point: point.confidence, default=None)


def _rounded_down(share: float) -> str:
    """With four decimals, so that asking for what is shown succeeds."""
    return f"{int(share * 10_000) / 10_000:g}"
