"""What each step left, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


class StepLog:
    """One JSON object a line, each with its `step`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Mapping[str, float]) -> None:
        """Add a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the steps after a checkpoint that is gone on from: they are taken again."""
        kept = [line for line in self.lines() if line["step"] <= step]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")

    def lines(self) -> list[dict[str, float]]:
        """What was logged; a line that a kill cut short is left out."""
        if not self.path.is_file():
            return []
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines() if line.endswith("}")]
