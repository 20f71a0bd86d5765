"""The work of a job: chunk by chunk, into a journal beside the output or straight to standard output."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, Optional, Protocol

from sentilora.errors import DataError, SentiloraError, UserError
from sentilora.progress import Progress
from sentilora.scoring.job import InputFile, Shard
from sentilora.scoring.journal import Journal, JournalEntry, OutputPlace
from sentilora.scoring.rows import ChunkRecord, RowScorer, ScoredChunk
from sentilora.scoring.survey import Source
from sentilora.tables.inputs import TableName
from sentilora.tables.streaming import Chunk
from sentilora.tables.writing import TableFormat

_logger = logging.getLogger("sentilora")

_WEB = ("http://", "https://")


@dataclass(frozen=True)
class Tally:
    """Rows, counted.

    Attributes:
        scored: Written.
        rejected: Told apart.
        resumed: Of both, those that an earlier command had done.
        repeated: Texts that needed no computing.
    """

    scored: int
    rejected: int
    resumed: int = 0
    repeated: int = 0

    @classmethod
    def of(cls, records: Mapping[int, ChunkRecord], resumed: int = 0, repeated: int = 0) -> Tally:
        """Add up the chunks.

        Raises:
            SentiloraError: A row is in none of the two places.
        """
        tally = cls(
            sum(record.size.rows for record in records.values()),
            sum(record.rejects for record in records.values()),
            resumed,
            repeated,
        )
        rows = sum(record.rows for record in records.values())
        if tally.scored + tally.rejected != rows:
            raise SentiloraError(f"{rows:,} rows became {tally.scored:,} and {tally.rejected:,}: nothing was written")
        return tally


class Engine(Protocol):
    """What scores the chunks of a share."""

    def __call__(self, is_done: Callable[[int], bool]) -> Iterator[tuple[int, Optional[ScoredChunk]]]:
        """Every chunk's number, in order, and the chunk scored; None for one that is done already."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Scores in this process.

    Attributes:
        sources: The inputs.
        shard: The share to score.
        scorer: Scores a chunk.
    """

    sources: Sequence[Source]
    shard: Optional[Shard]
    scorer: RowScorer

    def __call__(self, is_done: Callable[[int], bool]) -> Iterator[tuple[int, Optional[ScoredChunk]]]:
        """See `Engine`."""
        for number, file, chunk in numbered(((source.file, source.chunks) for source in self.sources), self.shard):
            yield number, None if is_done(number) else self.scorer(file, chunk)


def numbered(
    files: Iterable[tuple[InputFile, Iterator[Chunk]]], shard: Optional[Shard]
) -> Iterator[tuple[int, InputFile, Chunk]]:
    """The chunks of a share, numbered through all inputs.

    Raises:
        DataError: An input is no longer as it was when its rows were counted.
    """
    number = 0
    for file, chunks in files:
        rows = 0
        for chunk in chunks:
            rows += chunk.rows
            if shard is None or number in shard:
                yield number, file, chunk
            number += 1
        if file.rows not in (None, rows):
            raise DataError(f"{file.name} was changed while it was scored: give the command again")


@dataclass(frozen=True)
class Work:
    """A job, or a share of it, ready to be done once.

    Attributes:
        engine: Scores its chunks.
        entry: The job and the share.
        format: Of the output.
        progress: Told of rows that were done before; the engine tells of the others.
    """

    engine: Engine
    entry: JournalEntry
    format: TableFormat
    progress: Progress

    def to_place(self, place: OutputPlace, target: TableName, overwrite: bool, resume: bool) -> Tally:
        """Write a file, going on where an earlier command stopped if `resume`.

        Raises:
            DataError: An input was changed meanwhile.
        """
        records: dict[int, ChunkRecord] = {}
        resumed = repeated = 0
        with Journal.open(place, self.entry, overwrite, resume) as journal:
            with self._unchanged_inputs(journal.forget):
                for number, scored in self.engine(journal.is_done):
                    if scored is None:
                        record = journal.record(number)
                        self.progress.skip(record.rows)
                        resumed += record.rows
                    else:
                        journal.keep(number, scored)
                        record = scored.record
                        repeated += scored.repeated
                    records[number] = record
            tally = Tally.of(records, resumed, repeated)
            journal.finish(target, self.format, records)
        return tally

    def to_standard_output(self) -> Tally:
        """Write each chunk when it is done; rejects go to the log.

        Raises:
            DataError: An input was changed meanwhile.
        """
        records: dict[int, ChunkRecord] = {}
        repeated: list[int] = []

        def encoded() -> Iterator[bytes]:
            for number, scored in self.engine(lambda _: False):
                if scored is None:  # never: no journal is kept
                    continue
                records[number] = scored.record
                repeated.append(scored.repeated)
                for line in scored.rejects.decode().splitlines():
                    _logger.warning(line)
                yield scored.encoded

        with self._unchanged_inputs(lambda: None):
            self.format.join(encoded(), sys.stdout.buffer)
        return Tally.of(records, repeated=sum(repeated))

    @contextlib.contextmanager
    def _unchanged_inputs(self, forget: Callable[[], None]) -> Iterator[None]:
        """See that the inputs are what they were when the job began, also where what they have become cannot be read.

        Args:
            forget: Called before a change is raised: what is done is of the old rows and the new.

        Raises:
            DataError: One was changed.
        """
        try:
            yield
        except UserError:
            self._refuse_changed(forget)
            raise
        self._refuse_changed(forget)

    def _refuse_changed(self, forget: Callable[[], None]) -> None:
        for file in self.entry.job.inputs:
            if file.rows is None or file.name.startswith(_WEB):  # one server of several may name a file otherwise
                continue
            if TableName.parse(file.name).fingerprint() != file.fingerprint:
                forget()
                raise DataError(f"{file.name} was changed while it was scored: give the command again")
