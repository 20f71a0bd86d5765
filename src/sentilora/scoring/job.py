"""What a scoring job is: which inputs, which model, which settings; two runs of one job write the same bytes."""

from __future__ import annotations

import hashlib
from typing import Optional

import msgspec
import pyarrow as pa

from sentilora._version import __version__
from sentilora.artifacts import MODEL_FILES, UNFINISHED, PathLike, open_model, sha256_of
from sentilora.errors import ConfigError
from sentilora.tables.inputs import TableName

SHARD_RECORD = ".shard.json"


class Shard(msgspec.Struct, frozen=True):
    """One of several equal shares of a job: every `count`-th chunk, from the `index`-th on (from 1)."""

    index: int
    count: int

    @classmethod
    def parse(cls, written: str) -> Shard:
        """Read `i/n`.

        Raises:
            ConfigError: It is no such thing.
        """
        index, _, count = written.partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise ConfigError(f"--shard {written}: write it as 1/4, 2/4, 3/4 or 4/4")
        return cls(int(index), int(count))

    def __contains__(self, chunk: int) -> bool:
        """Whether a chunk (numbered from 0 through all inputs) is in this share."""
        return chunk % self.count == self.index - 1

    def name(self, output: TableName) -> str:
        """`scored-1-of-4.csv` for `scored.csv`."""
        return f"{output.stem}-{self.index}-of-{self.count}{output.name[len(output.stem) :]}"

    def __str__(self) -> str:
        """As the user writes it."""
        return f"{self.index}/{self.count}"


class InputFile(msgspec.Struct, frozen=True):
    """An input as it was when the job began.

    Attributes:
        name: As the user knows it.
        fingerprint: What changes when the file does; empty for standard input.
        text_column: Where its texts are.
        rows: How many, sound or broken; None for standard input.
    """

    name: str
    fingerprint: str
    text_column: str
    rows: Optional[int]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the bytes of the output depend on.

    Attributes:
        inputs: In the order they are scored.
        model: sha256 over the model's files.
        settings: Flags that matter, by name.
        chunk_rows: Rows that are scored and kept at a time.
        ending: Of the output, such as `.csv`.
        schema: The output's columns, as Arrow serialises them.
        sentilora: The version.
    """

    inputs: tuple[InputFile, ...]
    model: str
    settings: dict[str, str]
    chunk_rows: int
    ending: str
    schema: bytes
    sentilora: str = __version__

    @property
    def columns(self) -> pa.Schema:
        """The output's columns."""
        return pa.ipc.read_schema(pa.py_buffer(self.schema))


def model_fingerprint(path: PathLike) -> str:
    """sha256 over the names and contents of the model's files, but not of what people and scoring put beside them."""
    model = open_model(path)
    known = model.manifest.files if model.manifest is not None else {}  # proved a moment ago
    files = {str(file.relative_to(model.path)): file for pattern in MODEL_FILES for file in model.path.rglob(pattern)}
    named = [
        (name, file)
        for name, file in sorted(files.items(), key=lambda each: each[1])
        if not name.endswith(SHARD_RECORD) and UNFINISHED not in name
    ]
    return hashlib.sha256(
        "".join(f"{name}{known.get(name) or sha256_of(file)}" for name, file in named).encode()
    ).hexdigest()
