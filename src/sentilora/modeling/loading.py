"""From a folder to a classifier."""

from __future__ import annotations

import json
import warnings
from typing import Optional

from peft import PeftModel
from safetensors import safe_open

from sentilora.artifacts import ADAPTER_CONFIG, ADAPTER_WEIGHTS, TOKENIZER, WEIGHTS, ModelFolder
from sentilora.config import DeviceChoice
from sentilora.errors import ModelError
from sentilora.inference import Classifier
from sentilora.labels import Labels
from sentilora.modeling.base import Base, find_base, load_pretrained, load_tokenizer
from sentilora.modeling.devices import Device, choose_device
from sentilora.modeling.predictor import TorchPredictor
from sentilora.notes import Notes
from sentilora.text import TextEncoder


def load_classifier(folder: ModelFolder, *, base: Optional[str] = None, device: DeviceChoice = "auto") -> Classifier:
    """Load what `Classifier.load` promises; see there."""
    notes = Notes()
    chosen = choose_device(device, notes)
    if folder.kind == "merged":
        return load_merged(folder, chosen, notes)
    return load_adapter(folder, find_base(base or recorded_base(folder), notes), chosen, notes)


def load_adapter(folder: ModelFolder, base: Base, device: Device, notes: Optional[Notes] = None) -> Classifier:
    """Put an adapter on its base.

    Raises:
        ModelError: The base's weights are not those the adapter was trained on, or the adapter holds no head.
    """
    notes = notes or Notes()
    manifest = folder.manifest
    if manifest is not None and manifest.base.sha256 != base.reference.sha256:
        raise ModelError(
            f"{folder.path} was trained on base {manifest.base.id} (sha256 {manifest.base.sha256[:12]}...), but "
            f"{base.reference.id} has sha256 {base.reference.sha256[:12]}...: name the right one with --base"
        )
    labels = Labels(manifest.labels) if manifest is not None else _labels_of_stranger(folder, notes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT reads an attribute that Transformers is renaming
            model = PeftModel.from_pretrained(load_pretrained(base.folder, labels), folder.path)
    except (RuntimeError, ValueError, TypeError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ModelError(f"{folder.path} does not fit base {base.reference.id}: {first_line}") from None
    return Classifier(
        TorchPredictor(model, device, len(labels)),
        _encoder_of(folder, base, model.config.max_position_embeddings, notes),
        labels,
        1.0 if manifest is None else manifest.temperature,
        notes,
    )


def load_merged(folder: ModelFolder, device: Device, notes: Optional[Notes] = None) -> Classifier:
    """Load a standalone model, ours or any DistilBERT classifier.

    Raises:
        ModelError: The model has no classification head.
    """
    notes = notes or Notes()
    manifest = folder.manifest
    labels = Labels(manifest.labels) if manifest is not None else _labels_of_stranger(folder, notes)
    model = load_pretrained(folder.path, labels)
    encoder = _encoder_of(folder, None, model.config.max_position_embeddings, notes)
    return Classifier(TorchPredictor(model, device, len(labels)), encoder, labels, notes=notes)


def recorded_base(folder: ModelFolder) -> str:
    """The name of the base an adapter was trained on, from its manifest or PEFT's config.

    Raises:
        ModelError: Neither names one.
    """
    if folder.manifest is not None:
        return folder.manifest.base.id
    try:
        name = json.loads((folder.path / ADAPTER_CONFIG).read_text("utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError):
        name = None
    if not name:
        raise ModelError(f"{folder.path / ADAPTER_CONFIG} names no base: name it with --base")
    return str(name)


def _encoder_of(folder: ModelFolder, base: Optional[Base], positions: int, notes: Notes) -> TextEncoder:
    manifest = folder.manifest
    if manifest is not None:
        return TextEncoder.load(folder.path, manifest.max_length, manifest.truncation)
    notes.say(f"{folder.path} has no sentilora.json: assuming max length {positions}, truncation head")
    tokenizer_folder = folder.path
    if base is not None and not (folder.path / TOKENIZER).is_file():
        notes.say(f"{folder.path} has no tokenizer: taking that of base {base.reference.id}")
        tokenizer_folder = base.folder
    return TextEncoder(load_tokenizer(tokenizer_folder), positions, "head")


def _labels_of_stranger(folder: ModelFolder, notes: Notes) -> Labels:
    """Labels of a model that has no manifest: as many as its head has rows, named only if its config names them."""
    weights = ADAPTER_WEIGHTS if folder.kind == "adapter" else WEIGHTS
    with safe_open(folder.path / weights, "np") as tensors:
        heads = [name for name in tensors.keys() if f".{name}".endswith(".classifier.weight")]  # noqa: SIM118
        rows = [tensors.get_slice(name).get_shape()[0] for name in heads]
    if not rows:
        raise ModelError(f"{folder.path / weights} holds no classification head: train again, and save the head too")
    named = _labels_in_config(folder)
    if named is not None and len(named) == rows[0]:
        return named
    labels = Labels.unnamed(rows[0])
    notes.say(f"{folder.path} does not name its labels: calling them {', '.join(labels.names)}")
    return labels


def _labels_in_config(folder: ModelFolder) -> Optional[Labels]:
    try:
        id2label = json.loads((folder.path / "config.json").read_text("utf-8"))["id2label"]
        return Labels(tuple(id2label[str(index)] for index in range(len(id2label))))
    except (OSError, ValueError, KeyError):
        return None
