"""The Hugging Face Hub: files by repository, and one clear line when they cannot be had."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Literal, Optional

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, DatasetInfo, HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from sentilora.errors import HubError, first_line

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
    with _failures_in_one_line(address, revision):
        return Path(snapshot_download(repository, repo_type=kind, revision=revision, allow_patterns=list(patterns)))


def dataset_files(repository: str, revision: str) -> list[str]:
    """Names of the files of a data set; where the Hub cannot be reached, of those in the local cache.

    Raises:
        HubUnreachableError: The Hub cannot be reached and nothing of it is cached.
        HubError: There is no such data set or revision, or it may not be read.
    """
    try:
        with _failures_in_one_line(f"datasets/{repository}", revision):
            siblings = _information(repository, revision).siblings or []
        return [sibling.rfilename for sibling in siblings]
    except HubUnreachableError:
        folder = fetch(repository, [], kind="dataset", revision=revision)
        _logger.info(f"the Hub cannot be reached: taking what is cached of {repository}")
        return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


@dataclass(frozen=True)
class Pushed:
    """What a push left on the Hub.

    Attributes:
        url: Where it can be looked at.
        commit: The commit that holds it.
        removed: Files of what was there before, which are in it no longer.
    """

    url: str
    commit: str
    removed: tuple[str, ...]


def push(
    repository: str,
    files: Mapping[str, Path],
    is_replaced: Callable[[str], bool],
    message: str,
    *,
    private: bool = False,
    revision: Optional[str] = None,
) -> Pushed:
    """Put files into a repository of models in one commit: all of them, or none. The repository is made if need be.

    The token is the one that the Hub's own tools use: `HF_TOKEN`, or what `hf auth login` kept.

    Args:
        repository: `owner/name`.
        files: By their names in the repository.
        is_replaced: Whether a name is of what is replaced: files of such names that were there, and are not among
            `files`, are removed.
        message: Of the commit.
        private: Whether the repository is to be private: one that is there must be so already.
        revision: Branch, made if need be; None means `main`.

    Raises:
        HubUnreachableError: No network, or `HF_HUB_OFFLINE=1`.
        HubError: Nobody is logged in, the token may not write there, or the Hub refuses the files.
    """
    api = HfApi()
    with _refusals_in_one_line(repository):
        url = api.create_repo(repository, private=private or None, exist_ok=True)
        if private and not api.model_info(repository).private:
            raise HubError(
                f"'{repository}' is public, and nothing was published: make it private there first, or leave --private "
                "out"
            )
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        there = api.list_repo_files(repository, revision=revision)
        removed = [name for name in there if name not in files and is_replaced(name)]
        commit = api.create_commit(
            repository,
            [
                *(CommitOperationDelete(name, is_folder=False) for name in removed),
                *(CommitOperationAdd(name, path) for name, path in files.items()),
            ],
            commit_message=message,
            revision=revision,
        )
    where = str(url) if revision is None else f"{url}/tree/{revision}"
    return Pushed(where, commit.oid, tuple(removed))


@contextlib.contextmanager
def _refusals_in_one_line(repository: str) -> Iterator[None]:
    """Whatever the Hub's client raises while it writes, as one of our errors."""
    try:
        yield
    except HubError:
        raise
    except OfflineModeIsEnabled:
        raise HubUnreachableError(f"'{repository}' is not published: HF_HUB_OFFLINE forbids asking the Hub") from None
    except HFValidationError:
        raise HubError(f"'{repository}' is no name for a repository: write owner/name") from None
    except Exception as error:  # noqa: BLE001 - wrapped ones too, and the HTTP library's own, which differ by version
        refused = _refusal(error)
        if refused is None:
            raise HubUnreachableError(
                f"'{repository}' is not published: the Hub does not answer ({first_line(error)})"
            ) from None
        raise HubError(f"'{repository}' is not published: {_in_words(refused)}") from None


def _refusal(error: BaseException) -> Optional[HfHubHTTPError]:
    """The Hub's answer behind an error; None where it gave none."""
    cause: Optional[BaseException] = error
    while cause is not None and not (isinstance(cause, HfHubHTTPError) and cause.response is not None):
        cause = cause.__cause__
    return cause


def _in_words(refused: HfHubHTTPError) -> str:
    status = refused.response.status_code
    known = {
        401: "the Hub knows no such user; log in with `hf auth login`, or set HF_TOKEN",
        403: "your token may not write there; take one with the right to write, of a member of that organisation",
        404: "there is no such repository, or your token may not see it",
        409: "somebody changed it at the same time; give the command again",
        412: "somebody changed it at the same time; give the command again",
    }
    said = refused.server_message or first_line(refused)
    return f"{known[status]} (HTTP {status})" if status in known else f"HTTP {status}: {' '.join(said.split())[:300]}"


def _information(repository: str, revision: str) -> DatasetInfo:
    try:
        return HfApi().dataset_info(repository, revision=revision)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled):
        raise
    except Exception as error:  # noqa: BLE001 - the HTTP library's own, which differs from version to version
        raise OSError(f"{type(error).__name__} {error}") from None


@contextlib.contextmanager
def _failures_in_one_line(address: str, revision: Optional[str]) -> Iterator[None]:
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
    except Exception as error:  # noqa: BLE001 - the HTTP library's own among them, which differ by version
        raise HubUnreachableError(f"the Hub did not deliver '{address}' ({first_line(error)})") from None
