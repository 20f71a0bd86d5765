"""The encoder with a head that names hidden words: for masked language modelling (Devlin et al., 2019, section 3.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import DistilBertForMaskedLM

from sentilora.artifacts import WEIGHTS
from sentilora.errors import ModelError, OutputError, ParityError
from sentilora.modeling.base import Base, transformers_silenced
from sentilora.modeling.saving import write_tokenizer
from sentilora.notes import Notes
from sentilora.text import TextEncoder

_HEAD = ("vocab_transform", "vocab_layer_norm", "vocab_projector")


def load_masked_lm(base: Base, frequencies: npt.NDArray[np.int64], seed: int, notes: Notes) -> Any:
    """The base as a `DistilBertForMaskedLM`, in fp32, its output projection tied to its word embeddings.

    A head that the base does not bring is random, but for the bias of its projection: the tokens' log frequencies,
    which the first steps would learn otherwise.

    Args:
        base: Where it is.
        frequencies: int64 [vocabulary], how often each token occurs in the texts to learn from.
        seed: Of a random head.
        notes: Told whether the head is new.
    """
    torch.manual_seed(seed)
    with transformers_silenced():
        model, loading = DistilBertForMaskedLM.from_pretrained(
            base.folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    missing = {name.partition(".")[0] for name in loading["missing_keys"]}
    if missing - set(_HEAD):
        raise ModelError(
            f"base {base.reference.id} lacks weights of a DistilBERT encoder: {', '.join(sorted(missing))}"
        )
    if missing:
        notes.say(f"{base.reference.id} brings no head for masked words: a new one learns with it")
        shares = (frequencies + 1) / (frequencies + 1).sum()
        with torch.no_grad():
            model.vocab_projector.bias.copy_(torch.from_numpy(np.log(shares)))
    return model.eval()  # no dropout: hardly a text is seen twice


def write_masked_lm(model: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a base into an existing folder, and prove that what was written is what is in memory.

    Raises:
        ParityError: A tensor was read back differently.
        OutputError: The disk is full.
    """
    with transformers_silenced():
        try:
            model.save_pretrained(folder, safe_serialization=True)
        except SafetensorError as error:
            raise OutputError(f"cannot write {folder}: {error}") from None
        written = DistilBertForMaskedLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    expected = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    for name, tensor in written.state_dict().items():
        if not torch.equal(tensor, expected[name]):
            raise ParityError(f"{folder / WEIGHTS} has another {name} than was trained: please report this")
    write_tokenizer(TextEncoder(tokenizer, model.config.max_position_embeddings, "head"), folder)
