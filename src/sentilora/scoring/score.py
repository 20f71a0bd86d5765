"""Scoring files: every row of the inputs ends up in the output or among the rejects."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Optional, Union, get_args

from sentilora.artifacts import PathLike, unfinished
from sentilora.config import EngineChoice
from sentilora.errors import ConfigError, MissingExtraError
from sentilora.inference import Classifier
from sentilora.progress import Progress
from sentilora.scoring.answers import Answers
from sentilora.scoring.job import Job, Shard, model_fingerprint
from sentilora.scoring.journal import REJECTS, JournalEntry, OutputPlace, is_own, names_in_one_line
from sentilora.scoring.rows import Layout, RowScorer, with_answers
from sentilora.scoring.settings import ScoreSettings
from sentilora.scoring.survey import Source, all_columns, rows_ahead, survey
from sentilora.scoring.work import Engine, LocalEngine, Tally, Work
from sentilora.tables.inputs import TableName, find_inputs, is_url
from sentilora.tables.writing import require_writable

_logger = logging.getLogger("sentilora")


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

    An output appears whole or not at all. Until then what is done is kept beside it, as `NAME.unfinished`, or in the
    cache for a remote one; from there the same call goes on if this one is cut short, to the same bytes. Rows that
    cannot be scored are listed in `OUTPUT.rejects.jsonl`.

    Args:
        inputs: Files of rows, folders of them, patterns, URLs that fsspec knows, or `-` for standard input.
        output: A .csv, .tsv, .jsonl or .parquet file or URL, or `-` for standard output.
        overwrite: Whether an output that is there may be replaced, and a job begun there with other settings dropped.
        **settings: Fields of `ScoreSettings` by name, such as `model="runs/mine", text_column="body"`.

    Raises:
        ConfigError: Settings do not go together.
        DataError: An input cannot be read, has no column of texts, or was changed meanwhile; or none has a row.
        ModelError: There is no sound model.
        MissingExtraError: The model needs PyTorch, or the engine Ray, which is not installed.
        OutputError: The output exists, another job was begun there, another process works on it, or the disk is full.
    """
    started = time.monotonic()
    chosen = ScoreSettings(**settings)
    given = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    target = TableName.parse(os.fspath(output), chosen.format)
    require_writable(target)
    names = find_inputs(
        [os.fspath(name) for name in given], chosen.format, leave_out=lambda name: _is_own(name, target)
    )
    shard = None if chosen.shard is None else Shard.parse(chosen.shard)
    _refuse_combinations(names, target, chosen)
    if shard is not None:
        target = TableName.parse(shard.name(target))
    if target.place in {name.place for name in names} and not target.is_standard:
        raise ConfigError(f"{target.name} is an input: name another output")
    _refuse_existing(target, overwrite)

    classifier = chosen.classifier()
    typed = target.ending == ".parquet"
    sources = survey(names, chosen.text_column, chosen.chunk_rows, typed)
    found = sorted({source.file.text_column for source in sources if source.kinds})
    if chosen.text_column is None and found != ["text"]:
        classifier.notes.say(f"column with the texts: {', '.join(found)}")
    columns = all_columns(sources, classifier.notes if typed else None)
    schema, answer_columns = with_answers(columns, classifier.notes)
    job = Job(
        inputs=tuple(source.file for source in sources),
        model=model_fingerprint(chosen.model),
        settings=chosen.answer_settings(),
        chunk_rows=chosen.chunk_rows,
        ending=target.ending,
        schema=schema.serialize().to_pybytes(),
    )
    layout = Layout(target, schema, answer_columns)
    entry = JournalEntry(job, shard)
    with Progress("scoring", rows_ahead(sources, shard), "rows") as progress:
        engine = _engine(chosen, entry, sources, classifier, layout, progress)
        tally = _do(Work(engine, entry, layout.format, progress), names, target, overwrite)
    if shard is not None and not tally.scored + tally.rejected:
        classifier.notes.say(f"no rows came to shard {shard}: they are dealt out by {job.chunk_rows} (--chunk-rows)")
    return ScoreResult(
        output=target.name,
        rejects=f"{target.name}{REJECTS}" if tally.rejected and not target.is_standard else None,
        scored=tally.scored,
        rejected=tally.rejected,
        resumed=tally.resumed,
        repeated=tally.repeated,
        seconds=time.monotonic() - started,
    )


def _engine(
    chosen: ScoreSettings,
    entry: JournalEntry,
    sources: Sequence[Source],
    classifier: Classifier,
    layout: Layout,
    progress: Progress,
) -> Engine:
    if chosen.engine == "local":
        return LocalEngine(sources, entry.shard, RowScorer(Answers(classifier), layout, progress.advance))
    from sentilora.scoring.cluster import RayEngine  # noqa: PLC0415 - Ray may not be installed

    sizes = [size for source in sources for size in source.sizes or ()]
    return RayEngine(chosen, entry, sizes, layout, progress, classifier.notes)


def _do(work: Work, names: Sequence[TableName], target: TableName, overwrite: bool) -> Tally:
    if target.is_standard:
        return work.to_standard_output()
    piped = names[0].is_standard
    if piped:
        _logger.info("standard input cannot be read again: if this run is cut short, it begins anew")
    return work.to_place(OutputPlace.of(target), target, overwrite, resume=not piped)


def _is_own(found: str, target: TableName) -> bool:
    own = not target.is_standard and is_own(found, target)
    if own:
        _logger.info(f"{found} was written by scoring, and is no input")
    return own


def _refuse_combinations(names: Sequence[TableName], target: TableName, chosen: ScoreSettings) -> None:
    piped = any(name.is_standard for name in names)
    if piped and len(names) > 1:
        raise ConfigError("- stands for standard input, and goes with no other input")
    if chosen.engine not in get_args(EngineChoice):
        raise ConfigError(f"no engine '{chosen.engine}': {' or '.join(get_args(EngineChoice))}")
    if chosen.engine == "ray" and find_spec("ray") is None:
        raise MissingExtraError("Ray", "ray")
    if piped and chosen.engine == "ray":
        raise ConfigError("--engine ray reads files: standard input reaches one process only")
    if chosen.device not in ("auto", "cpu") and chosen.engine == "ray":
        raise ConfigError(f"--engine ray computes on CPUs: leave --device {chosen.device} out")
    if chosen.shard is not None and (piped or target.is_standard or is_url(target.name)):
        raise ConfigError("--shard reads and writes files: - and remote outputs cannot be put together again")


def _refuse_existing(target: TableName, overwrite: bool) -> None:
    """Refuse what cannot be written before the model is loaded and the inputs are read."""
    if target.is_standard:
        return
    with names_in_one_line(target):
        place = OutputPlace.of(target)
        if is_url(target.name) or not unfinished(place.path).exists():
            place.refuse_existing(overwrite)
