"""How a scoring job is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import msgspec

from sentilora.artifacts import PathLike
from sentilora.config import CHUNK_ROWS, DeviceChoice, EngineChoice
from sentilora.inference import Classifier


class ScoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to score.

    Attributes:
        model: Folder of a run, an adapter, a merged model or a bundle.
        adapter: Which one of a bundle with several.
        text_column: With the texts, where it has no usual name.
        format: What standard input and output hold: `csv`, `tsv` or `jsonl`.
        shard: `i/n`: score only the i-th of n equal shares, into a file named after it.
        chunk_rows: Rows that are scored and kept at a time.
        labels: As for `Classifier.load`.
        base: The same.
        device: The same.
        precision: The same.
        engine: `local`, or `ray` for a cluster; both write the same.
    """

    model: PathLike
    adapter: Optional[str] = None
    text_column: Optional[str] = None
    format: Optional[str] = None
    shard: Optional[str] = None
    chunk_rows: int = CHUNK_ROWS
    labels: Optional[Sequence[str]] = None
    base: Optional[str] = None
    device: DeviceChoice = "auto"
    precision: Optional[float] = None
    engine: EngineChoice = "local"

    def classifier(self, threads: Optional[int] = None) -> Classifier:
        """The classifier to ask, on so many cores."""
        return Classifier.load(
            self.model,
            adapter=self.adapter,
            base=self.base,
            device=self.device,
            labels=self.labels,
            precision=self.precision,
            threads=threads,
        )

    def answer_settings(self) -> dict[str, str]:
        """What, beside the model's files, the answers depend on."""
        names = ("adapter", "text_column", "labels", "base", "device", "precision")
        return {name: str(getattr(self, name)) for name in names}
