"""The encoder with a head that names hidden words: for masked language modelling (Devlin et al., 2019, section 3.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers import DistilBertForMaskedLM

from sentilora.artifacts import WEIGHTS
from sentilora.errors import ParityError
from sentilora.modeling.base import Base
from sentilora.modeling.pretrained import read_model, refuse_foreign_tokens, transformers_silenced
from sentilora.modeling.saving import write_tokenizer
from sentilora.notes import Notes
from sentilora.text import TextEncoder

_HEAD = ("vocab_transform", "vocab_layer_norm", "vocab_projector")


def load_masked_lm(
    base: Base, tokenizer: Tokenizer, frequencies: npt.NDArray[np.int64], seed: int, notes: Notes
) -> Any:
    """The base as a `DistilBertForMaskedLM`, in fp32, its output projection tied to its word embeddings.

    A head that the base does not bring is random, but for the bias of its projection: the tokens' log frequencies,
    which the first steps would learn otherwise.

    Args:
        base: Where it is.
        tokenizer: Of the base, which may have embeddings of more tokens.
        frequencies: int64 [tokens of the tokenizer], how often each occurs in the texts to learn from.
        seed: Of a random head.
        notes: Told whether the head is new.

    Raises:
        ModelError: A weight of the encoder is not there or of another shape, a file is damaged, or the tokenizer is
            of another model.
    """
    torch.manual_seed(seed)
    model, new = read_model(DistilBertForMaskedLM, base.folder, _HEAD)
    refuse_foreign_tokens(tokenizer, model, base.folder)
    if new:
        notes.say(f"{base.reference.id} brings no head for masked words: a new one learns with it")
        counts = 1 + np.pad(frequencies, (0, model.config.vocab_size - len(frequencies)))
        with torch.no_grad():
            model.vocab_projector.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
    return model.eval()  # no dropout: hardly a text is seen twice


def write_masked_lm(model: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a base into an existing folder, and prove that what was written is what is in memory.

    Raises:
        ParityError: A tensor was read back differently.
    """
    with transformers_silenced():
        model.save_pretrained(folder, safe_serialization=True)
    written, _ = read_model(DistilBertForMaskedLM, folder, ())
    expected = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    for name, tensor in written.state_dict().items():
        if not torch.equal(tensor, expected[name]):
            raise ParityError(f"{folder / WEIGHTS} has another {name} than was trained: please report this")
    write_tokenizer(TextEncoder(tokenizer, model.config.max_position_embeddings, "head"), folder)
