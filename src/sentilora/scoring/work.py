"""The work of a job: chunk by chunk, into a journal beside the output or straight to standard output."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec

from sentilora.errors import DataError, SentiloraError
from sentilora.progress import Progress
from sentilora.scoring.job import InputFile
from sentilora.scoring.journal import REJECTS, Journal, JournalEntry, OutputPlace
from sentilora.scoring.rows import ChunkRecord, RowScorer
from sentilora.scoring.survey import Source
from sentilora.tables.inputs import TableName, store_in_one_line
from sentilora.tables.streaming import Chunk
from sentilora.tables.writing import TableFormat

_logger = logging.getLogger("sentilora")


@dataclass(frozen=True)
class Tally:
    """Rows, counted.

    Attributes:
        scored: Written.
        rejected: Told apart.
        resumed: Of both, those that an earlier command had done.
    """

    scored: int
    rejected: int
    resumed: int = 0

    @classmethod
    def of(cls, records: Mapping[int, ChunkRecord], resumed: int = 0) -> Tally:
        """Add up the chunks.

        Raises:
            SentiloraError: A row is in none of the two places.
        """
        tally = cls(
            sum(record.size.rows for record in records.values()),
            sum(record.rejects for record in records.values()),
            resumed,
        )
        rows = sum(record.rows for record in records.values())
        if tally.scored + tally.rejected != rows:
            raise SentiloraError(f"{rows:,} rows became {tally.scored:,} and {tally.rejected:,}: nothing was written")
        return tally


@dataclass(frozen=True)
class Work:
    """A job, or a share of it, ready to be done once.

    Attributes:
        sources: The inputs.
        entry: The job and the share.
        scorer: Scores a chunk.
        format: Of the output.
        progress: Told of rows that were done before; the scorer tells of the others.
    """

    sources: Sequence[Source]
    entry: JournalEntry
    scorer: RowScorer
    format: TableFormat
    progress: Progress

    def to_file(self, target: TableName, overwrite: bool, resume: bool = True) -> Tally:
        """Write a local file, going on where an earlier command stopped if `resume`."""
        records: dict[int, ChunkRecord] = {}
        resumed = 0
        with Journal.open(OutputPlace(Path(target.name)), self.entry, overwrite, resume) as journal:
            for number, file, chunk in self._chunks():
                record = journal.done(number)
                if record is None:
                    scored = self.scorer(file, chunk)
                    journal.keep(number, scored)
                    record = scored.record
                else:
                    self.progress.skip(record.rows)
                    resumed += record.rows
                records[number] = record
            tally = Tally.of(records, resumed)
            journal.finish(target, self.format, records)
        return tally

    def to_url(self, target: TableName) -> Tally:
        """Write a file here, then copy it to a store, so that it appears there whole."""
        with tempfile.TemporaryDirectory() as folder:
            place = OutputPlace(Path(folder) / f"scored{target.suffixes}")
            tally = self.to_file(TableName.parse(str(place.path)), overwrite=False, resume=False)
            with store_in_one_line(target.name):
                store, path = fsspec.core.url_to_fs(target.name)
                for local, ending in ((place.rejects, REJECTS), (place.path, "")):
                    if local.exists():
                        store.put_file(str(local), path + ending)
        return tally

    def to_standard_output(self) -> Tally:
        """Write each chunk when it is done; rejects go to the log."""
        records: dict[int, ChunkRecord] = {}

        def encoded() -> Iterator[bytes]:
            for number, file, chunk in self._chunks():
                scored = self.scorer(file, chunk)
                records[number] = scored.record
                for line in scored.rejects.decode().splitlines():
                    _logger.warning(line)
                yield scored.encoded

        self.format.join(encoded(), sys.stdout.buffer)
        return Tally.of(records)

    def _chunks(self) -> Iterator[tuple[int, InputFile, Chunk]]:
        """The chunks of this share, numbered through all inputs.

        Raises:
            DataError: An input is no longer as it was when its rows were counted.
        """
        number = 0
        for source in self.sources:
            rows = 0
            for chunk in source.chunks:
                rows += chunk.rows
                if self.entry.shard is None or number in self.entry.shard:
                    yield number, source.file, chunk
                number += 1
            if source.file.rows not in (None, rows):
                raise DataError(f"{source.file.name} was changed while it was scored: score it again")
