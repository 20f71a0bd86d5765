"""Scoring on a cluster: Ray Data hands the chunks to a pool of actors that hold the model.

The inputs are read, and journal and output written, on the machine where the command was given: there everything is as
with the local engine, down to the bytes and to going on after a crash. The other machines need sentilora and the model
at the same path. Of actors that die, Ray starts others and has them do the same chunks again.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle  # between processes of ours only: it is what Ray speaks
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Union

import msgspec
import pyarrow as pa

from sentilora.errors import ConfigError, MissingExtraError, ModelError, SentiloraError, UserError
from sentilora.notes import Notes
from sentilora.progress import Progress
from sentilora.scoring.answers import Answers
from sentilora.scoring.job import InputFile, Job, Shard, model_fingerprint
from sentilora.scoring.journal import JournalEntry
from sentilora.scoring.rows import Layout, RowScorer, ScoredChunk
from sentilora.scoring.settings import ScoreSettings
from sentilora.scoring.work import numbered
from sentilora.tables.inputs import TableName, is_url
from sentilora.tables.streaming import Chunk, read_chunks

_CORES = 4  # of an actor, at most: more would wait for each other at the end of each chunk
_COLUMN = "item"


@dataclass(frozen=True)
class _Task:
    """A chunk on its way to an actor."""

    number: int
    file: InputFile
    chunk: Chunk


@dataclass(frozen=True)
class _Result:
    """A chunk on its way back, with what its actor assumed."""

    number: int
    scored: ScoredChunk
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Failure:
    """What the user can put right: an exception would arrive wrapped in Ray's."""

    message: str


@dataclass(frozen=True)
class RayEngine:
    """Scores on the Ray cluster that is running, or on one of this machine alone; see `work.Engine`.

    Attributes:
        settings: The model, and how to ask it.
        entry: The job and the share.
        sizes: Rows of each chunk of the job.
        layout: How rows are written.
        progress: Told of rows that were scored.
        notes: Told of what actors assumed.
    """

    settings: ScoreSettings
    entry: JournalEntry
    sizes: Sequence[int]
    layout: Layout
    progress: Progress
    notes: Notes

    def __call__(self, is_done: Callable[[int], bool]) -> Iterator[tuple[int, Optional[ScoredChunk]]]:
        """See `work.Engine`.

        Raises:
            UserError: An input was changed, or the model is missing or another on one of the machines.
            MissingExtraError: Ray is not installed.
            SentiloraError: Ray gave up.
        """
        shard = self.entry.shard
        numbers = [number for number in range(len(self.sizes)) if shard is None or number in shard]
        wanted = frozenset(number for number in numbers if not is_done(number))
        results = self._results(wanted) if wanted else iter(())
        for number in numbers:
            yield number, self._scored(next(results, None), number) if number in wanted else None
        for failure in results:  # of what is seen at the end of the inputs only
            self._scored(failure, -1)

    def _scored(self, result: Union[_Result, _Failure, None], number: int) -> ScoredChunk:
        if isinstance(result, _Failure):
            raise UserError(result.message)
        if result is None or result.number != number:
            raise SentiloraError(f"Ray lost chunk {number}: give the command again")
        for note in result.notes:
            self.notes.say(note)
        self.progress.advance(result.scored.record.rows)
        return result.scored

    def _results(self, wanted: frozenset[int]) -> Iterator[Union[_Result, _Failure]]:
        """The chunks with these numbers, scored, in order; nothing follows a failure."""
        ray = _import_ray()
        with _connected(ray):
            try:
                for batch in self._dataset(ray, wanted).iter_batches(batch_size=None, batch_format="pyarrow"):
                    for item in batch.column(_COLUMN):
                        yield pickle.loads(item.as_py())  # noqa: S301 - of our own actors
            except ray.exceptions.RayError as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise SentiloraError(f"Ray gave up ({lines[-1]}): what is done is kept") from error

    def _dataset(self, ray: Any, wanted: frozenset[int]) -> Any:
        actors, cores = _pool(ray)
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        start = ray.data.from_items([{_COLUMN: b""}])
        start.context.execution_options.preserve_order = True
        start.context.target_max_block_size = 1  # a block for each chunk
        start.context.enable_progress_bars = False
        start.context.print_on_execution_start = False
        return start.map_batches(
            _read,
            batch_format="pyarrow",
            fn_kwargs={"job": self.entry.job, "shard": self.entry.shard, "wanted": wanted, "folder": Path.cwd()},
            num_cpus=0,
            ray_remote_args_fn=lambda: {"scheduling_strategy": here},
        ).map_batches(
            _Scorer,
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_kwargs={
                "settings": _for_any_folder(self.settings),
                "model": self.entry.job.model,
                "layout": self.layout,
                "cores": cores,
            },
            num_cpus=cores,
            compute=ray.data.ActorPoolStrategy(size=min(actors, len(wanted))),
        )


class _Scorer:
    """An actor of the pool: holds the model, and scores a chunk a call."""

    def __init__(self, settings: ScoreSettings, model: str, layout: Layout, cores: int) -> None:
        self._failure: Optional[_Failure] = None
        try:
            if model_fingerprint(settings.model) != model:
                raise ModelError(f"{settings.model} is another model on {os.uname().nodename}: copy it there")
            self._classifier = settings.classifier(cores)
        except UserError as error:
            self._failure = _Failure(str(error))
        else:
            self._scorer = RowScorer(Answers(self._classifier), layout, lambda _: None)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score the task that a batch of one row holds."""
        task: Union[_Task, _Failure] = pickle.loads(batch.column(_COLUMN)[0].as_py())  # noqa: S301 - of `_read`
        if isinstance(task, _Failure) or self._failure is not None:
            return _packed(self._failure or task)
        scored = self._scorer(task.file, task.chunk)
        return _packed(_Result(task.number, scored, tuple(self._classifier.notes)))


def _read(_: pa.Table, job: Job, shard: Optional[Shard], wanted: frozenset[int], folder: Path) -> Iterator[pa.Table]:
    """The chunks with the wanted numbers, each a batch of one row.

    Args:
        _: Nothing.
        job: Whose inputs to read.
        shard: The share of it.
        wanted: Numbers of chunks.
        folder: What the inputs' paths are relative to.
    """
    paths = [file.name if is_url(file.name) else str(folder / file.name) for file in job.inputs]
    chunks = (read_chunks(TableName.parse(path), job.chunk_rows) for path in paths)
    try:
        for number, file, chunk in numbered(zip(job.inputs, chunks), shard):
            if number in wanted:
                # Copied, as a slice of a table is sent with all of it.
                table = chunk.table.take(pa.array(range(len(chunk.table)), pa.int64()))
                yield _packed(_Task(number, file, Chunk(table, chunk.numbers, chunk.broken)))
    except UserError as error:
        yield _packed(_Failure(str(error)))


def _packed(item: object) -> pa.Table:
    return pa.table({_COLUMN: pa.array([pickle.dumps(item)], pa.large_binary())})


def _for_any_folder(settings: ScoreSettings) -> ScoreSettings:
    """The same with a path that does not depend on the folder, and without a GPU, of which Ray gives actors none."""
    return msgspec.structs.replace(settings, model=Path(settings.model).absolute(), device="cpu")


def _pool(ray: Any) -> tuple[int, int]:
    """How many actors fit the cluster, and the cores of each."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    cores = min([_CORES, *(count for count in nodes if count)])
    return max(1, sum(count // cores for count in nodes)), cores


@contextlib.contextmanager
def _connected(ray: Any) -> Iterator[None]:
    """A connection to the user's cluster (`RAY_ADDRESS`, or one on this machine), else to a new one of this machine."""
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(log_to_driver=False, logging_level="WARNING")
    except ConnectionError as error:
        raise ConfigError(f"no Ray cluster answers: {error}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        ray = importlib.import_module("ray")
        for part in ("data", "util.scheduling_strategies"):
            importlib.import_module(f"ray.{part}")
    except ImportError:
        raise MissingExtraError("Ray", "ray") from None
    return ray
