"""Putting the outputs of shards together, in the inputs' order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Optional, TypeVar

import msgspec

from sentilora.artifacts import PathLike, full_disk_in_one_line, sha256_of
from sentilora.errors import DataError, OutputError
from sentilora.progress import Progress
from sentilora.scoring.job import SHARD_RECORD
from sentilora.scoring.journal import OutputPlace, ShardRecord, names_in_one_line, write_joined, write_rejects
from sentilora.scoring.work import Tally
from sentilora.tables.inputs import TableName, is_url
from sentilora.tables.writing import TableFormat, require_writable, table_format

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class GatherResult:
    """What gathering came to.

    Attributes:
        output: The scored rows.
        rejects: The list of rows that could not be scored; None if all were.
        scored: Rows written.
        rejected: Rows that could not be scored.
    """

    output: str
    rejects: Optional[str]
    scored: int
    rejected: int


def gather(shards: Sequence[PathLike], output: PathLike, *, overwrite: bool = False) -> GatherResult:
    """Put the outputs of all shards of a job together: to the bytes of a job that was not sharded.

    Args:
        shards: The local files that `score` wrote with `shard`, in any order, their `.shard.json` beside them.
        output: A local file of the same format, perhaps compressed otherwise.
        overwrite: Whether an output that is there may be replaced.

    Raises:
        DataError: A shard is missing, given twice, damaged, or of another job.
        OutputError: The output exists, or the disk is full.
    """
    target = TableName.parse(os.fspath(output))
    require_writable(target)
    if is_url(target.name):
        raise OutputError(f"{target.name} is remote: gather into a local file and copy it")
    for shard in shards:
        if is_url(os.fspath(shard)):
            raise DataError(f"{shard} is remote: copy it here with its {SHARD_RECORD}")
    with names_in_one_line(target):
        place = OutputPlace.of(target)
        place.refuse_existing(overwrite)
    shares = _in_order([_Share.read(Path(shard)) for shard in shards])
    job = shares[0].record.job
    if target.ending != job.ending:
        raise OutputError(f"{target.name} must end in {job.ending}, as the shards do")
    output_format = table_format(target, job.columns)
    tally = Tally.of(dict(enumerate(_dealt([iter(share.record.chunks) for share in shares]))))
    with names_in_one_line(target):
        place.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=place.path.parent, prefix=f".{place.path.name}.")
    with (
        Progress("gathering", tally.scored, "rows") as progress,
        full_disk_in_one_line(place.path),
        temporary as folder,
    ):
        joined, rejects = Path(folder) / "joined", Path(folder) / "rejects"
        encoded = [share.encoded(output_format, progress) for share in shares]
        write_joined(joined, target, output_format, _dealt(encoded))
        write_rejects(rejects, _dealt([share.rejected() for share in shares]))
        place.put(joined, rejects if tally.rejected else None)
    return GatherResult(target.name, str(place.rejects) if tally.rejected else None, tally.scored, tally.rejected)


@dataclass(frozen=True)
class _Share:
    """The output of a shard, with its record."""

    place: OutputPlace
    record: ShardRecord

    @classmethod
    def read(cls, path: Path) -> _Share:
        place = OutputPlace(path)
        try:
            record = msgspec.json.decode(place.shard_record.read_bytes(), type=ShardRecord)
        except OSError as error:
            raise DataError(
                f"{place.shard_record} cannot be read ({error.strerror}): keep it beside its shard"
            ) from None
        except msgspec.MsgspecError:
            raise DataError(f"{place.shard_record} is not the record of a shard") from None
        for file, expected in ((place.path, record.sha256), (place.rejects, record.rejects_sha256)):
            if expected is not None and not (file.is_file() and sha256_of(file) == expected):
                raise DataError(f"{file} is not as it was scored: copy it again, or score shard {record.shard} again")
        return cls(place, record)

    def encoded(self, output: TableFormat, progress: Progress) -> Iterator[bytes]:
        """The rows of each chunk."""
        with TableName.parse(str(self.place.path)).open() as stream:
            for chunk, encoded in zip(self.record.chunks, output.part(stream, [c.size for c in self.record.chunks])):
                yield encoded
                progress.advance(chunk.size.rows)

    def rejected(self) -> Iterator[bytes]:
        """The rejects of each chunk, often none."""
        if self.record.rejects_sha256 is None:
            yield from (b"" for _ in self.record.chunks)
            return
        with self.place.rejects.open("rb") as stream:
            for chunk in self.record.chunks:
                yield stream.read(chunk.rejects_bytes)


def _in_order(shares: Sequence[_Share]) -> list[_Share]:
    """All shares of one job, from the first to the last.

    Raises:
        DataError: They are not.
    """
    first = shares[0]
    by_index: dict[int, _Share] = {}
    for share in shares:
        shard = share.record.shard
        if (share.record.job, shard.count) != (first.record.job, first.record.shard.count):
            raise DataError(f"{share.place.path} belongs to another job than {first.place.path}")
        if shard.index in by_index:
            raise DataError(f"{share.place.path} and {by_index[shard.index].place.path} are both shard {shard}")
        by_index[shard.index] = share
    count = first.record.shard.count
    missing = [f"{index}/{count}" for index in range(1, count + 1) if index not in by_index]
    if missing:
        raise DataError(f"not all shards are there: name the files of {', '.join(missing)} too")
    return [by_index[index] for index in sorted(by_index)]


def _dealt(hands: Sequence[Iterator[_Item]]) -> Iterator[_Item]:
    """One item of each in turn, as chunks are dealt to shards, until the next one has no more."""
    for hand in cycle(hands):
        item = next(hand, None)
        if item is None:
            return
        yield item
