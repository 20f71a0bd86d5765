"""Scoring files: every row of the inputs ends up in the output or among the rejects."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import fsspec
import msgspec

from sentilora.artifacts import PathLike, unfinished
from sentilora.config import CHUNK_ROWS, DeviceChoice
from sentilora.errors import ConfigError, OutputError
from sentilora.inference import Classifier
from sentilora.progress import Progress
from sentilora.scoring.answers import Answers
from sentilora.scoring.job import Job, Shard, model_fingerprint
from sentilora.scoring.journal import REJECTS, JournalEntry, OutputPlace
from sentilora.scoring.rows import RowScorer, with_answers
from sentilora.scoring.survey import all_columns, rows_ahead, survey
from sentilora.scoring.work import Tally, Work
from sentilora.tables.inputs import TableName, find_inputs, is_url, store_in_one_line
from sentilora.tables.writing import require_writable, table_format

_logger = logging.getLogger("sentilora")


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

    def classifier(self) -> Classifier:
        """The classifier to ask."""
        return Classifier.load(
            self.model,
            adapter=self.adapter,
            base=self.base,
            device=self.device,
            labels=self.labels,
            precision=self.precision,
        )

    def answer_settings(self) -> dict[str, str]:
        """What, beside the model's files, the answers depend on."""
        names = ("adapter", "text_column", "labels", "base", "device", "precision")
        return {name: str(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class ScoreResult:
    """What scoring came to.

    Attributes:
        output: Path or URL of the scored rows; `-` for standard output.
        rejects: Path or URL of the list of rows that could not be scored; None if all were, or if it went to the log.
        scored: Rows written.
        rejected: Rows that could not be scored.
        resumed: Rows that an earlier, interrupted command had done.
        repeated: Texts that had been answered before, and needed no computing.
        seconds: Since the command began.
    """

    output: str
    rejects: Optional[str]
    scored: int
    rejected: int
    resumed: int
    repeated: int
    seconds: float

    @property
    def rows(self) -> int:
        """Rows read."""
        return self.scored + self.rejected


def score(
    inputs: Union[PathLike, Sequence[PathLike]], output: PathLike, *, overwrite: bool = False, **settings: Any
) -> ScoreResult:
    """Score every row of the inputs: their columns and their order stay, and the answers are added as columns.

    A local output appears whole or not at all. Until then what is done is kept beside it, as `NAME.unfinished`, from
    which the same call goes on if this one is cut short, to the same bytes. Rows that cannot be scored are listed in
    `OUTPUT.rejects.jsonl`.

    Args:
        inputs: Files of rows, folders of them, patterns, URLs that fsspec knows, or `-` for standard input.
        output: A .csv, .tsv, .jsonl or .parquet file or URL, or `-` for standard output.
        overwrite: Whether an output that is there may be replaced, and a job begun there with other settings dropped.
        **settings: Fields of `ScoreSettings` by name, such as `model="runs/mine", text_column="body"`.

    Raises:
        ConfigError: Settings do not go together.
        DataError: An input cannot be read, or has no column of texts.
        ModelError: There is no sound model.
        OutputError: The output exists, another job was begun there, another process works on it, or the disk is full.
    """
    started = time.monotonic()
    chosen = ScoreSettings(**settings)
    given = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    names = find_inputs([os.fspath(name) for name in given], chosen.format)
    target = TableName.parse(os.fspath(output), chosen.format)
    require_writable(target)
    shard = None if chosen.shard is None else Shard.parse(chosen.shard)
    _refuse_combinations(names, target, shard is not None)
    if shard is not None:
        target = TableName.parse(shard.name(target))
    _refuse_existing(target, overwrite)

    classifier = chosen.classifier()
    sources = survey(names, chosen.text_column, chosen.chunk_rows, typed=target.ending == ".parquet")
    schema, answer_columns = with_answers(all_columns(sources), classifier.notes)
    job = Job(
        inputs=tuple(source.file for source in sources),
        model=model_fingerprint(chosen.model),
        settings=chosen.answer_settings(),
        chunk_rows=chosen.chunk_rows,
        ending=target.ending,
        schema=schema.serialize().to_pybytes(),
    )
    answers = Answers(classifier)
    output_format = table_format(target, schema)
    with Progress("scoring", rows_ahead(sources, shard), "rows") as progress:
        columns = None if target.holds_json else schema.names
        scorer = RowScorer(answers, output_format, columns, answer_columns, progress)
        work = Work(sources, JournalEntry(job, shard), scorer, output_format, progress)
        tally = _do(work, names, target, overwrite)
    return ScoreResult(
        output=target.name,
        rejects=f"{target.name}{REJECTS}" if tally.rejected and not target.is_standard else None,
        scored=tally.scored,
        rejected=tally.rejected,
        resumed=tally.resumed,
        repeated=answers.repeated,
        seconds=time.monotonic() - started,
    )


def _do(work: Work, names: Sequence[TableName], target: TableName, overwrite: bool) -> Tally:
    if target.is_standard:
        return work.to_standard_output()
    if is_url(target.name):
        _logger.info(f"{target.name} is remote: if this run is cut short, it begins anew")
        return work.to_url(target)
    piped = names[0].is_standard
    if piped:
        _logger.info("standard input cannot be read again: if this run is cut short, it begins anew")
    return work.to_file(target, overwrite, resume=not piped)


def _refuse_combinations(names: Sequence[TableName], target: TableName, sharded: bool) -> None:
    piped = any(name.is_standard for name in names)
    if piped and len(names) > 1:
        raise ConfigError("- stands for standard input, and goes with no other input")
    if sharded and (piped or target.is_standard or is_url(target.name)):
        raise ConfigError("--shard reads and writes files: - and remote outputs cannot be put together again")
    if target.name in {name.name for name in names} and not target.is_standard:
        raise ConfigError(f"{target.name} is an input: name another output")


def _refuse_existing(target: TableName, overwrite: bool) -> None:
    """Refuse what cannot be written before the model is loaded and the inputs are read."""
    if is_url(target.name):
        with store_in_one_line(target.name):
            store, path = fsspec.core.url_to_fs(target.name)
            present = store.exists(path)
        if present and not overwrite:
            raise OutputError(f"{target.name} exists already: choose another name, or pass --overwrite to replace it")
    elif not target.is_standard and not unfinished(Path(target.name)).exists():
        OutputPlace(Path(target.name)).refuse_existing(overwrite)
