"""Which words made an answer what it is: the result, and how it shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, Optional

# Green and red over whatever lies behind, so that the text keeps its own colour on dark and on light pages.
_GREEN, _RED = "46,160,67", "229,83,75"
_STRONGEST = 0.6  # opacity of the strongest effect
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>Why these answers</title>
</head>
<body style="max-width:50em;margin:2em auto;padding:0 1em">
{body}
</body>
</html>
"""


@dataclass(frozen=True)
class Span:
    """A word or phrase of a text, and what it did to the answer.

    Attributes:
        start: Its first character in the text.
        end: The character after its last.
        text: The characters between.
        effect: By how much the margin falls when it is left out and the rest is classified anew. The margin is the
            logit of the predicted label less the largest other one, divided by the temperature; with two labels these
            are the log-odds of the answer. Above 0: it speaks for the answer.
    """

    start: int
    end: int
    text: str
    effect: float


@dataclass(frozen=True)
class Explanation:
    """An answer and what each part of the text did to it.

    Effects do not add up to the margin: two words that say the same can each be left out at little loss.

    Attributes:
        text: As it was given.
        label: The most probable label, whose answer the effects are on.
        confidence: Its probability, in [0, 1].
        margin: Of the whole text, see `Span.effect`.
        spans: Words, and phrases where there was no time for each of their words, in the order of the text.
        hidden: Start and end of the parts that truncation kept from the model: character offsets, whole words.
        passes: How many texts went through the model for this: the whole one, and one for each span that was left out.
    """

    text: str
    label: str
    confidence: float
    margin: float
    spans: tuple[Span, ...]
    hidden: tuple[tuple[int, int], ...]
    passes: int

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            **{name: getattr(self, name) for name in ("text", "label", "confidence", "margin", "passes")},
            "spans": [vars(span) for span in self.spans],
            "hidden": [list(part) for part in self.hidden],
        }

    @property
    def legend(self) -> str:
        """One line: the answer and what the colours mean, how it was found, and what was not read."""
        favours, opposes = ("red", "green") if self._negative else ("green", "red")
        hidden = sum(len(self.text[start:end].split()) for start, end in self.hidden)
        return (
            f"{self.label} ({self.confidence:.1%}): {favours} speaks for it, {opposes} against, in full where it is "
            f"worth {self._strongest:.2f} of log-odds; {self.passes} forward passes"
            + (f"; {hidden:,} words were not read (truncated)" if hidden else "")
        )

    def parts(self) -> Iterator[tuple[str, Optional[Span], float]]:
        """The whole text in pieces, in order.

        Yields:
            The piece; its span, None between spans; and its colour, from -1 (red) to 1 (green). Negative and positive
            are red and green whatever the answer; with other labels, green speaks for the answer.
        """
        strongest = self._strongest or 1.0
        sign = -1 if self._negative else 1
        end = 0
        for span in self.spans:
            yield self.text[end : span.start], None, 0.0
            yield span.text, span, sign * span.effect / strongest
            end = span.end
        yield self.text[end:], None, 0.0

    def _repr_html_(self) -> str:
        body = "".join(_marked(*part) for part in self.parts())
        return (
            f'<div style="font-family:system-ui,sans-serif;line-height:1.8"><div style="opacity:.75">'
            f'{escape(self.legend)}</div><div style="white-space:pre-wrap;overflow-wrap:anywhere">{body}</div></div>'
        )

    @property
    def _strongest(self) -> float:
        return max((abs(span.effect) for span in self.spans), default=0.0)

    @property
    def _negative(self) -> bool:
        return self.label.casefold() == "negative"


def html_page(explanations: Iterable[Explanation]) -> str:
    """A page that stands alone, with each explanation as a notebook shows it."""
    return _PAGE.format(body="\n<hr>\n".join(explanation._repr_html_() for explanation in explanations))


def _marked(piece: str, span: Optional[Span], colour: float) -> str:
    if span is None:
        return escape(piece)
    shade = f"rgba({_GREEN if colour > 0 else _RED},{abs(colour) * _STRONGEST:.2f})"
    return (
        f'<span title="{span.effect:+.3f}" style="background:{shade};border-radius:3px;padding:1px 0">'
        f"{escape(piece)}</span>"
    )
