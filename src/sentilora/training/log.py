"""What each step left, as JSON lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from sentilora.artifacts import write_file


class StepLog:
    """One JSON object a line, each with its `step`: of a step, which has a `loss`, or of what follows one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Mapping[str, float]) -> None:
        """Add a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def forget_after(self, step: int, validated: int = 0) -> None:
        """Drop what comes again after a checkpoint: later steps, and all validations after the step `validated`.

        A checkpoint is written before its step is validated, so the log may know a validation that it does not.
        """
        kept = [line for line in self.lines() if line["step"] <= (step if "loss" in line else validated)]
        write_file(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def lines(self) -> list[dict[str, float]]:
        """What was logged; a line that a kill or a full disk cut short is left out."""
        if not self.path.is_file():
            return []
        lines = []
        for line in self.path.read_text("utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
        return lines
