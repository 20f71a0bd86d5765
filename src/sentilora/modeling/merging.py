"""Folding an adapter into its base: a standalone model, proved equal to the adapter before it appears."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, Optional

import msgspec
import numpy as np
import torch
from peft import PeftModel

from sentilora.artifacts import (
    README,
    ModelFolder,
    PathLike,
    kept_validation,
    new_folder,
    open_model,
    refuse_existing,
    refuse_replacing,
    write_file,
    write_manifest,
)
from sentilora.config import DeviceChoice
from sentilora.errors import ModelError, in_one_line
from sentilora.inference import Classifier
from sentilora.modeling.devices import choose_device
from sentilora.modeling.loading import base_of, load_adapter, load_merged, manifest_of
from sentilora.modeling.pretrained import transformers_silenced
from sentilora.modeling.saving import MERGE_TOLERANCE, Parity, torch_predictor, write_tokenizer
from sentilora.notes import Notes
from sentilora.progress import Progress
from sentilora.reporting.cards import Making, merged_card
from sentilora.tables import read_labelled


def merge(
    path: PathLike,
    output: PathLike = "saved_model",
    *,
    base: Optional[str] = None,
    device: DeviceChoice = "auto",
    overwrite: bool = False,
) -> Parity:
    """Write an adapter, its temperature included, as a standalone model that plain Transformers loads.

    The written model is reloaded and compared with the adapter before it appears: on the validation texts that a run
    keeps, or on the bundled test reviews where `path` is no run.

    Args:
        path: A run or an adapter.
        output: The new folder.
        base: Where the base is to be found, if elsewhere than recorded.
        device: Where to compute.
        overwrite: Whether a folder at `output` may be replaced.

    Returns:
        On how many texts the two were compared, and their largest difference.

    Raises:
        OutputError: `output` exists and `overwrite` is false, or it holds the adapter or its base.
        ModelError: There is no adapter at `path`, or it does not fit its base.
        ParityError: The written model differs from the adapter by more than 1e-4 in a logit.
    """
    folder, target = open_model(path), Path(output)
    if folder.kind == "bundle":
        raise ModelError(f"{folder.path} is a bundle: merge takes a run or an adapter")
    if folder.kind != "adapter":
        raise ModelError(f"{folder.path} is a standalone model already: merge takes a run or an adapter")
    refuse_existing(target, overwrite)
    texts = read_labelled(kept_validation(path) or "bundled:test").texts
    notes = Notes()
    encoder_base = base_of(folder, base, notes)
    refuse_replacing(target, [folder.path, encoder_base.folder])
    adapter = load_adapter(folder, encoder_base, choose_device(device, notes), notes)
    predictor = torch_predictor(adapter)
    token_ids = [text.ids for text in adapter.encoder.encode(texts)]
    with Progress("answers of the adapter", len(token_ids)) as progress:
        expected = predictor.logits(token_ids, progress.advance) / np.float32(adapter.temperature)
    merged = folded(adapter)
    manifest = manifest_of(folder, adapter, encoder_base)
    manifest = msgspec.structs.replace(manifest, kind="merged", temperature=1.0)
    with new_folder(target, overwrite) as temporary:
        with transformers_silenced():
            merged.save_pretrained(temporary)
        write_tokenizer(adapter.encoder, temporary)
        written = write_manifest(temporary, manifest)
        reloaded = load_merged(ModelFolder(temporary, "merged", written), predictor.device)
        with Progress("answers of the merged model", len(token_ids)) as progress:
            parity = Parity.of(expected, reloaded.predictor.logits(token_ids, progress.advance))
        parity.require("the merged model", MERGE_TOLERANCE)
        making = Making.of("merge", [os.fspath(path)], os.fspath(output), base=base)
        write_file(temporary / README, merged_card(written, making, str(parity)).encode())
    return parity


def folded(classifier: Classifier) -> Any:
    """A standalone model that answers as `classifier` does, its temperature included; that one stays as it is.

    Raises:
        ModelError: The adapter is of a kind that no weight can take up, or holds no numbers.
    """
    model = copy.deepcopy(torch_predictor(classifier).model)
    merged = _unloaded(model) if isinstance(model, PeftModel) else model
    with torch.no_grad():
        merged.classifier.weight /= classifier.temperature
        merged.classifier.bias /= classifier.temperature
    return merged


def _unloaded(model: PeftModel) -> Any:
    kind = model.active_peft_config.peft_type.value
    if not hasattr(model.base_model, "merge_and_unload"):
        raise ModelError(f"the adapter is of the kind {kind}, which cannot be folded into its base: use it as it is")
    try:
        return model.merge_and_unload(safe_merge=True)
    except ValueError as error:  # NaN, or a kind that merges not
        raise ModelError(f"the adapter cannot be folded into its base: {in_one_line(error)}") from None
