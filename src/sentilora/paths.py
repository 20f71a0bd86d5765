"""Files and folders as people name them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union


def local_path(name: Union[str, os.PathLike[str]]) -> Path:
    """The path of a name, whose `~` is the home folder; the `~` of a user that is not there stays as it is."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib raises where there is no such user
