"""What Transformers reads from a folder, with nothing left to chance: no weight that is missing is drawn unsaid."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Optional

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from sentilora.artifacts import TOKENIZER, WEIGHTS, read_object
from sentilora.errors import ModelError, in_one_line
from sentilora.labels import Labels
from sentilora.text import read_tokenizer

HEAD = ("pre_classifier", "classifier")


def load_pretrained(
    folder: Path, labels: Labels, dropout: Optional[float] = None, attention_dropout: Optional[float] = None
) -> PreTrainedModel:
    """A base with a head for classification, in fp32; one that the folder does not hold, or of other labels, is random.

    Args:
        folder: A base, or a standalone model.
        labels: Names of the head's labels.
        dropout: Of the encoder's activations; None keeps the folder's own. The head's dropout stays its own.
        attention_dropout: Of the attention weights; None keeps the folder's own.

    Raises:
        ModelError: A weight of the encoder is not there or of another shape, or a file is damaged.
    """
    dropouts = {"dropout": dropout, "attention_dropout": attention_dropout}
    given = {name: share for name, share in dropouts.items() if share is not None}
    model, _ = read_model(AutoModelForSequenceClassification, folder, HEAD, **_named(labels), **given)
    return model


def load_standalone(folder: Path, labels: Labels) -> PreTrainedModel:
    """A classifier, in fp32.

    Args:
        folder: A standalone model.
        labels: Names of the head's labels.

    Raises:
        ModelError: A weight is not there or of another shape, or a file is damaged.
    """
    model, _ = read_model(AutoModelForSequenceClassification, folder, (), **_named(labels))
    return model


def read_model(
    kind: Any, folder: Path, may_be_new: Collection[str], **settings: Any
) -> tuple[PreTrainedModel, frozenset[str]]:
    """A model in fp32.

    Args:
        kind: A class of Transformers, with `from_pretrained`.
        folder: With `config.json` and `model.safetensors`.
        may_be_new: The outermost modules that the folder need not bring; they are random then.
        settings: In place of the config's.

    Returns:
        The model, and which of `may_be_new` are new.

    Raises:
        ModelError: Another weight is not there or of another shape, or a file is damaged.
    """
    try:
        with transformers_silenced():  # it would warn that a head is new, which is as it must be
            model, loading = kind.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **settings,
            )
    except SafetensorError as error:
        raise unreadable_weights(folder / WEIGHTS, error) from None
    except Exception as error:  # noqa: BLE001 - whatever a strange folder leads Transformers and its libraries to
        raise ModelError(f"{folder} cannot be loaded as a DistilBERT: {in_one_line(error)}") from None
    # Names, with their shapes since Transformers 5.
    misfits = [each if isinstance(each, str) else each[0] for each in loading["mismatched_keys"]]
    new = {*loading["missing_keys"], *misfits}
    lacking = sorted(name for name in new if name.partition(".")[0] not in may_be_new)
    if lacking:
        raise ModelError(
            f"{folder / WEIGHTS} lacks weights of the model that its config.json describes, or has them in another "
            f"shape ({len(lacking)}, such as {lacking[0]}): copy or save the model again"
        )
    return model, frozenset(name.partition(".")[0] for name in new)


def unreadable_weights(path: Path, error: SafetensorError) -> ModelError:
    """What to say of a file that is no safetensors file."""
    return ModelError(
        f"{path} is not a safetensors file ({in_one_line(error)}): copy it again; if git brought it, by git lfs pull"
    )


def load_tokenizer(folder: Path) -> Tokenizer:
    """The fast tokenizer of a base, made from its vocabulary where it has no `tokenizer.json`.

    Raises:
        ModelError: The folder has no tokenizer, or a damaged one.
    """
    if (folder / TOKENIZER).is_file():
        return read_tokenizer(folder / TOKENIZER)
    try:
        fast = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True, trust_remote_code=False)
        tokenizer: Tokenizer = fast.backend_tokenizer
    except (OSError, ValueError, AttributeError):
        raise ModelError(f"{folder} has no tokenizer: it needs {TOKENIZER} or vocab.txt") from None
    return tokenizer


def refuse_foreign_tokens(tokenizer: Tokenizer, model: PreTrainedModel, folder: Path) -> None:
    """Raise ModelError if the tokenizer gives ids that the model in `folder` has no embedding of."""
    tokens, embedded = tokenizer.get_vocab_size(), model.config.vocab_size
    if tokens > embedded:
        raise ModelError(
            f"{folder}: the tokenizer has {tokens:,} tokens, the model knows {embedded:,}: one is not its own"
        )


def refuse_other_architectures(folder: Path) -> None:
    """Raise ModelError unless the folder's config is of a DistilBERT model."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a model: it has no config.json")
    kind = read_object(folder / "config.json").get("model_type")
    if kind != "distilbert":
        raise ModelError(f"{folder} is a '{kind}' model: bases are DistilBERT models")


@contextlib.contextmanager
def transformers_silenced() -> Iterator[None]:
    """No warnings and no progress bars of Transformers in this block."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _named(labels: Labels) -> dict[str, Any]:
    return {
        "num_labels": len(labels),
        "id2label": labels.id2label,
        "label2id": {name: index for index, name in labels.id2label.items()},
    }
