"""Folding an adapter into its base: a standalone model, proved equal to the adapter before it appears."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import msgspec
import numpy as np
import torch

from sentilora.artifacts import Manifest, ModelFolder, new_folder, refuse_existing, write_file, write_manifest
from sentilora.config import DeviceChoice
from sentilora.errors import ModelError
from sentilora.modeling.base import find_base, transformers_silenced
from sentilora.modeling.cards import merged_readme
from sentilora.modeling.devices import choose_device
from sentilora.modeling.loading import load_adapter, load_merged, recorded_base
from sentilora.modeling.saving import Parity, torch_predictor, write_tokenizer
from sentilora.notes import Notes


def merge_adapter(
    folder: ModelFolder,
    texts: Sequence[str],
    output: Path,
    *,
    base: Optional[str] = None,
    device: DeviceChoice = "auto",
    overwrite: bool = False,
) -> Parity:
    """Write an adapter, its temperature included, as a model that plain Transformers loads.

    Args:
        folder: The adapter.
        texts: What the written model is compared with the adapter on.
        output: The new folder.
        base: Where the base is to be found, if elsewhere than recorded.
        device: Where to compute.
        overwrite: Whether a folder at `output` may be replaced.

    Raises:
        OutputError: `output` exists and `overwrite` is false.
        ModelError: `folder` is no adapter, or does not fit its base.
        ParityError: The written model differs from the adapter by more than 1e-5 in a logit.
    """
    if folder.kind != "adapter":
        raise ModelError(f"{folder.path} is a standalone model already: merge takes a run or an adapter")
    refuse_existing(output, overwrite)
    notes = Notes()
    encoder_base = find_base(base or recorded_base(folder), notes)
    adapter = load_adapter(folder, encoder_base, choose_device(device, notes), notes)
    predictor = torch_predictor(adapter)
    token_ids = [text.ids for text in adapter.encoder.encode(texts)]
    expected = predictor.logits(token_ids) / np.float32(adapter.temperature)
    merged = _fold(predictor.model, adapter.temperature)
    manifest = folder.manifest or Manifest(
        kind="adapter",
        labels=adapter.labels.names,
        max_length=adapter.encoder.max_length,
        truncation=adapter.encoder.truncation,
        base=encoder_base.reference,
        notes=tuple(notes),
    )
    manifest = msgspec.structs.replace(manifest, kind="merged", temperature=1.0)
    with new_folder(output, overwrite) as temporary:
        with transformers_silenced():
            merged.save_pretrained(temporary)
        write_tokenizer(adapter.encoder, temporary)
        write_file(temporary / "README.md", merged_readme(manifest).encode())
        written = write_manifest(temporary, manifest)
        reloaded = load_merged(ModelFolder(temporary, "merged", written), predictor.device)
        parity = Parity.of(expected, reloaded.predictor.logits(token_ids))
        parity.require("the merged model")
    return parity


def _fold(model: Any, temperature: float) -> Any:
    merged = model.merge_and_unload(safe_merge=True)
    with torch.no_grad():
        merged.classifier.weight /= temperature
        merged.classifier.bias /= temperature
    return merged
