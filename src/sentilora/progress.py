"""Progress of anything longer than two seconds: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Optional

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.progress import ProgressColumn as RichColumn
from rich.text import Text

_SECONDS_BEFORE_FIRST_LINE = 2.0
_SECONDS_BETWEEN_LINES = 10.0


class _RateColumn(RichColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        return Text(f"{speed:,.1f} {unit}/s" if speed else f"- {unit}/s", style="progress.data.speed")


class Progress:
    """Counts work done and shows rate, and time left where the total is known, on standard error.

    Use as a context manager. `advance` may be called from any thread.
    """

    def __init__(self, description: str, total: Optional[int], unit: str = "texts") -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.done = 0
        self._skipped = 0
        self._status = ""
        self._started = time.monotonic()
        self._next_line = self._started + _SECONDS_BEFORE_FIRST_LINE
        self._said_a_line = False
        self._bar: Optional[RichProgress] = None
        console = Console(file=sys.stderr)
        self._quiet = logging.getLogger("sentilora").level > logging.INFO
        if console.is_terminal and not self._quiet:
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[status]}"),
                _RateColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(compact=True),
                console=console,
                expand=True,
            )
            self._task = self._bar.add_task(description, total=total, status="", unit=unit)

    def __enter__(self) -> Progress:
        """Start the clock."""
        self._started = time.monotonic()
        self._next_line = self._started + _SECONDS_BEFORE_FIRST_LINE
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Stop the bar; elsewhere close with a last line if any was printed."""
        if self._bar is not None:
            self._bar.stop()
        elif self._said_a_line and error is None:
            self._print_line()

    def skip(self, amount: int) -> None:
        """Count `amount` units that were done before, and that tell nothing of the rate."""
        self.done += amount
        self._skipped += amount
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)

    def advance(self, amount: int = 1, status: Optional[str] = None) -> None:
        """Count `amount` more units, and show `status` (such as the current loss) beside them."""
        self.done += amount
        if status is not None:
            self._status = status
        if self._bar is not None:
            self._bar.update(self._task, advance=amount, status=self._status)
        elif not self._quiet and time.monotonic() >= self._next_line and self.done != self.total:
            self._print_line()

    def _print_line(self) -> None:
        now = time.monotonic()
        self._next_line = now + _SECONDS_BETWEEN_LINES
        self._said_a_line = True
        rate = (self.done - self._skipped) / max(now - self._started, 1e-9)
        if self.total is not None and self.done < self.total:
            left = (self.total - self.done) / rate if rate else float("inf")
            ending = f"ETA {left:.0f} s"
        else:
            ending = f"in {now - self._started:.0f} s"
        done = str(self.done) if self.total is None else f"{self.done}/{self.total}"
        status = f"  {self._status}" if self._status else ""
        line = f"{self.description}  {done}{status}  {rate:,.1f} {self.unit}/s  {ending}"
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
