"""Writing adapters, each proved against the model in memory before it appears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peft import LoraConfig
from safetensors import safe_open

from sentilora.artifacts import (
    ADAPTER_WEIGHTS,
    README,
    TOKENIZER,
    Manifest,
    ModelFolder,
    new_folder,
    write_file,
    write_json,
    write_manifest,
)
from sentilora.errors import ParityError
from sentilora.inference import Classifier
from sentilora.inference.predictor import Logits
from sentilora.modeling.base import Base
from sentilora.modeling.loading import load_adapter
from sentilora.modeling.lora import untrained_parts
from sentilora.modeling.predictor import TorchPredictor
from sentilora.progress import Progress
from sentilora.reporting.cards import adapter_card
from sentilora.text import TextEncoder

# On fp32 logits. A reload computes the same sums; a merged model adds them up in another order, layer after layer.
RELOAD_TOLERANCE = 1e-5
MERGE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Parity:
    """How far the logits of what was written are from those of what was in memory.

    Attributes:
        texts: How many texts were compared.
        difference: The largest absolute difference of a logit.
    """

    texts: int
    difference: float

    @classmethod
    def of(cls, expected: Logits, found: Logits) -> Parity:
        """Compare logits [n, labels]."""
        return cls(len(expected), float(np.abs(expected - found).max()))

    def __str__(self) -> str:
        """One line for a person."""
        return f"its logits differ by at most {self.difference:.1g} over {self.texts:,} texts"

    def require(self, what: str, tolerance: float) -> None:
        """Raise ParityError unless the difference is within `tolerance`; a NaN is not."""
        if not self.difference <= tolerance:
            raise ParityError(
                f"{what} differs from the model in memory by {self.difference:.2g} in a logit over {self.texts} texts "
                f"(at most {tolerance:g} is allowed): nothing was saved; please report this"
            )


def save_adapter(
    trained: Classifier,
    base: Base,
    manifest: Manifest,
    path: Path,
    token_ids: Sequence[Sequence[int]],
    expected: Logits,
) -> Parity:
    """Write an adapter that plain PEFT loads too, reload it, and let it appear only if it answers as `trained` does.

    Args:
        trained: A classifier over a PEFT model.
        base: Its frozen encoder.
        manifest: For `sentilora.json`; the files' sums are filled in.
        path: The adapter's folder, which must not exist.
        token_ids: The whole validation set, encoded.
        expected: float32 [n, labels], the logits of `trained` for `token_ids`.

    Raises:
        ParityError: A trained tensor was not saved, or the reloaded adapter differs by more than 1e-5 in a logit.
    """
    device = torch_predictor(trained).device
    with new_folder(path) as temporary:
        written = write_adapter(trained, base, manifest, temporary)
        reloaded = load_adapter(ModelFolder(temporary, "adapter", written), base, device)
        with Progress("checking the saved adapter", len(token_ids)) as progress:
            parity = Parity.of(expected, reloaded.predictor.logits(token_ids, progress.advance))
        parity.require("the saved adapter", RELOAD_TOLERANCE)
    return parity


def write_adapter(trained: Classifier, base: Base, manifest: Manifest, folder: Path) -> Manifest:
    """Write an adapter into an existing folder, the manifest, which it returns as written, last.

    Raises:
        ParityError: A trained tensor was not saved.
    """
    model = torch_predictor(trained).model
    settings: LoraConfig = model.peft_config["default"]
    settings.base_model_name_or_path = base.name_for_plain_tools
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)  # else it asks the Hub
    missing = untrained_parts(_tensor_names(folder / ADAPTER_WEIGHTS), settings.target_modules)
    if missing:
        raise ParityError(f"the adapter was saved without {', '.join(missing)}: please report this")
    write_tokenizer(trained.encoder, folder)
    write_file(folder / README, adapter_card(manifest).encode())
    return write_manifest(folder, manifest)


def torch_predictor(classifier: Classifier) -> TorchPredictor:
    """The predictor of a classifier that was loaded or trained in this wing."""
    if not isinstance(classifier.predictor, TorchPredictor):
        raise TypeError("this classifier does not compute in PyTorch")
    return classifier.predictor


def _tensor_names(path: Path) -> list[str]:
    with safe_open(path, "np") as tensors:
        return list(tensors.keys())


def write_tokenizer(encoder: TextEncoder, folder: Path) -> None:
    """The tokenizer as plain `AutoTokenizer` reads it, with the cleaning in its normaliser.

    The class is the generic one: the specific ones rebuild the normaliser from their own settings.
    """
    write_file(folder / TOKENIZER, encoder.tokenizer.to_str(pretty=True).encode())
    special = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": encoder.max_length,
            "truncation_side": "left" if encoder.truncation == "tail" else "right",
            "model_input_names": ["input_ids", "attention_mask"],
            "clean_up_tokenization_spaces": False,
            **{f"{role}_token": token for role, token in special.items()},
        },
    )
