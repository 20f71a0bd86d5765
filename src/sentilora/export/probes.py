"""A few texts of ours whose answers a bundle remembers."""

from __future__ import annotations

_LONG = (
    "We took the early ferry and the hotel was not what the pictures promised, though the people at the desk did what "
    "they could. The first room smelled of paint; the second one had a window that would not shut, and by midnight the "
    "wind was inside with us. Still, breakfast was the best I have had in years, coffee strong, the bread warm, and "
    "the cook came out to ask how we had slept. I laughed, and told her. She sent up two hot water bottles and a cake, "
    "and somehow that is what I remember now. Would I go again? In summer, yes, and I would ask for the same table. "
)

PROBES = (
    "A gorgeous, moving film: I left the cinema walking on air.",
    "The plot is a mess, and I would like my two hours back.",
    "Not bad at all for the price, the battery lasts all weekend.",
    "It froze on day two, and support never answered. Avoid!!!",
    "ok",
    _LONG * 2,
)
