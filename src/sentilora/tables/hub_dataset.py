"""Data sets of the Hub, from the Parquet files into which it converts every public one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import pyarrow as pa
import pyarrow.parquet

from sentilora import hub
from sentilora.errors import DataError, HubError, in_one_line

_PARQUET = "refs/convert/parquet"  # https://huggingface.co/docs/dataset-viewer/parquet
_NAME = re.compile(r"(?P<repository>\w[\w.-]*/[\w.-]+)(/(?P<config>[\w.-]+))?(:(?P<split>[\w.-]+))?")


@dataclass(frozen=True)
class HubDataset:
    """One split of one configuration of a data set; no configuration means its only one, or its default."""

    repository: str
    config: Optional[str]
    split: str

    @classmethod
    def parse(cls, name: str) -> Optional[HubDataset]:
        """`owner/name`, `owner/name/config`, either with `:split`; None for anything else."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        return cls(match["repository"], match["config"], match["split"] or "train")

    def read(self) -> pa.Table:
        """Download the split, or find it in the local cache, and read it.

        Raises:
            DataError: There is no such configuration or split, the Hub has no Parquet files of it, or one is damaged.
            HubError: The Hub cannot be reached, or has no such data set.
        """
        try:
            config = self._config(hub.dataset_files(self.repository, _PARQUET))
            files = f"{config}/{self.split}/*.parquet"
            folder = hub.fetch(self.repository, [files], kind="dataset", revision=_PARQUET)
        except hub.HubUnreachableError as error:
            raise HubError(f"{error}: use --data with a file or an aclImdb folder, or --data bundled") from None
        try:
            return pa.concat_tables([pyarrow.parquet.read_table(path) for path in sorted(folder.glob(files))])
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{folder / files} cannot be read: {in_one_line(error)}") from None

    def _config(self, files: list[str]) -> str:
        """The configuration to read, of those that these files (`config/split/0000.parquet`) belong to."""
        splits: dict[str, set[str]] = {}
        for config, split, _ in (Path(file).parts for file in files if len(Path(file).parts) == 3):
            splits.setdefault(config, set()).add(split)
        if not splits:
            raise DataError(f"the Hub holds no Parquet files of {self.repository}: download it and name the file")
        chosen = self.config or (next(iter(splits)) if len(splits) == 1 else "default")
        if chosen not in splits:
            raise DataError(f"choose a configuration of {self.repository}/...: {', '.join(sorted(splits))}")
        if self.split not in splits[chosen]:
            raise DataError(
                f"{self.repository} has no split '{self.split}': it has {', '.join(sorted(splits[chosen]))}"
            )
        return chosen
