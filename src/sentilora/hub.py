"""The Hugging Face Hub: files by repository, and one clear line when they cannot be had."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Optional

from huggingface_hub import DatasetInfo, HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from sentilora.errors import HubError

_logger = logging.getLogger("sentilora")


class HubUnreachableError(HubError):
    """The Hub does not answer, or the environment forbids asking it, and the files are not in the local cache."""


def fetch(
    repository: str,
    patterns: Sequence[str],
    *,
    kind: Literal["model", "dataset"] = "model",
    revision: Optional[str] = None,
) -> Path:
    """Download the files of a repository that match `patterns`, or find them in the local cache.

    Args:
        repository: The Hub's id, `owner/name` or `name`.
        patterns: Shell patterns of file names, such as `("config.json", "*.safetensors")`.
        kind: Which of the Hub's repositories.
        revision: Branch, tag or commit; None means `main`.

    Returns:
        The local folder of the snapshot, named by its commit.

    Raises:
        HubUnreachableError: No network, or `HF_HUB_OFFLINE=1`, and the files are not cached.
        HubError: There is no such repository or revision, or it may not be read.
    """
    address = f"{'datasets/' if kind == 'dataset' else ''}{repository}"
    with _in_one_line(address, revision):
        return Path(snapshot_download(repository, repo_type=kind, revision=revision, allow_patterns=list(patterns)))


def dataset_files(repository: str, revision: str) -> list[str]:
    """Names of the files of a data set; where the Hub cannot be reached, of those in the local cache.

    Raises:
        HubUnreachableError: The Hub cannot be reached and nothing of it is cached.
        HubError: There is no such data set or revision, or it may not be read.
    """
    try:
        with _in_one_line(f"datasets/{repository}", revision):
            siblings = _information(repository, revision).siblings or []
        return [sibling.rfilename for sibling in siblings]
    except HubUnreachableError:
        folder = fetch(repository, [], kind="dataset", revision=revision)
        _logger.info(f"the Hub cannot be reached: taking what is cached of {repository}")
        return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def _information(repository: str, revision: str) -> DatasetInfo:
    try:
        return HfApi().dataset_info(repository, revision=revision)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled):
        raise
    except Exception as error:  # noqa: BLE001 - the HTTP library's own, which differs from version to version
        raise OSError(f"{type(error).__name__} {error}") from None


@contextlib.contextmanager
def _in_one_line(address: str, revision: Optional[str]) -> Iterator[None]:
    """Whatever the Hub's client raises, as one of our errors."""
    try:
        yield
    except GatedRepoError:
        raise HubError(
            f"'{address}' is gated on the Hub: accept its terms there, then log in with `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise HubError(f"'{address}' has no revision '{revision}' on the Hub") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise HubError(f"'{address}' is neither a folder here nor a public repository on the Hub") from None
    except LocalEntryNotFoundError:
        raise HubUnreachableError(f"the Hub cannot be reached for '{address}', and it is not in the cache") from None
    except (HfHubHTTPError, OSError) as error:
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        raise HubUnreachableError(f"the Hub did not deliver '{address}' ({first_line})") from None
