"""How our plots are drawn: as inline SVG, in the page's own ink, so that they fit light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

INK = "#123456"  # becomes the colour of the text around the picture
BLUE, ORANGE = "#4c84f0", "#e08a2e"
_SIZE = (5.2, 3.5)
_LONGEST_NAME = 28
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "legend.frameon": False,
}


def new_figure(height: float = _SIZE[1], width: float = _SIZE[0]) -> Figure:
    """A picture of this size in inches; half a page is 5.2 wide."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="none")


@contextmanager
def style(name: str) -> Iterator[None]:
    """Our style; `name` keeps the ids of one picture apart from those of the others on the page."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield


def percent_axes(axes: Axes, which: Literal["x", "y", "xy"]) -> None:
    """Show shares as percentages."""
    for name in which:
        getattr(axes, f"{name}axis").set_major_formatter(PercentFormatter(1, decimals=0))


def short(name: str) -> str:
    """A name, cut to what fits beside an axis."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def as_svg(figure: Figure) -> str:
    """The picture as an element that takes the width it is given."""
    for axes in figure.axes:
        axes.patch.set_visible(False)
    picture = io.StringIO()
    figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = picture.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r' id="[\w.]*_\d+"', "", svg)  # which every picture has alike, and nothing refers to
    return svg.replace(INK, "currentColor")
