"""From a folder to a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import msgspec
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from sentilora.artifacts import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    TOKENIZER,
    WEIGHTS,
    BaseReference,
    Manifest,
    ModelFolder,
    read_object,
    sha256_of,
)
from sentilora.config import DeviceChoice
from sentilora.errors import ModelError, in_one_line
from sentilora.inference import Classifier
from sentilora.labels import Labels
from sentilora.modeling.base import Base, find_base
from sentilora.modeling.devices import Device, choose_device
from sentilora.modeling.predictor import TorchPredictor
from sentilora.modeling.pretrained import (
    load_pretrained,
    load_standalone,
    load_tokenizer,
    refuse_foreign_tokens,
    refuse_other_architectures,
    unreadable_weights,
)
from sentilora.notes import Notes
from sentilora.text import TextEncoder


def load_classifier(folder: ModelFolder, base: Optional[str], device: DeviceChoice, notes: Notes) -> Classifier:
    """Load what `Classifier.load` promises; see there."""
    chosen = choose_device(device, notes)
    if folder.kind == "merged":
        return load_merged(folder, chosen, notes)
    return load_adapter(folder, base_of(folder, base, notes), chosen, notes)


def load_adapter(folder: ModelFolder, base: Base, device: Device, notes: Optional[Notes] = None) -> Classifier:
    """Put an adapter on its base.

    Raises:
        ModelError: The base's weights are not those the adapter was trained on, or the adapter holds no head, or not
            the tensors that its configuration tells of.
    """
    notes = notes or Notes()
    manifest = folder.manifest
    if manifest is not None and manifest.base.sha256 != base.reference.sha256:
        raise ModelError(
            f"{folder.path} was trained on base {manifest.base.id} (sha256 {manifest.base.sha256[:12]}...), but "
            f"{base.reference.id} has sha256 {base.reference.sha256[:12]}...: name the right one with --base"
        )
    labels = Labels(manifest.labels) if manifest is not None else _labels_of_stranger(folder, notes)
    pretrained = load_pretrained(base.folder, labels)
    encoder = _encoder_of(folder, base, pretrained.config.max_position_embeddings, notes)
    refuse_foreign_tokens(encoder.tokenizer, pretrained, folder.path)
    return Classifier(
        TorchPredictor(_adapted(pretrained, folder, base), device, len(labels)),
        encoder,
        labels,
        1.0 if manifest is None else manifest.temperature,
        notes,
        () if manifest is None else manifest.abstention,
    )


def _adapted(pretrained: PreTrainedModel, folder: ModelFolder, base: Base) -> PeftModel:
    """The base with the adapter on it, which must bring every tensor that it is made of, and no others."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT reads an attribute that Transformers is renaming
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # which below are an error
            model = PeftModel.from_pretrained(pretrained, folder.path)
    except (RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise ModelError(f"{folder.path} does not fit base {base.reference.id}: {in_one_line(error)}") from None
    with safe_open(folder.path / ADAPTER_WEIGHTS, "np") as tensors:
        brought = set(tensors.keys())
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    for names, how in (
        (wanted - brought, "lacks"),
        (brought - wanted - set(model.state_dict()), "has, and does not use"),
    ):
        if names:
            raise ModelError(
                f"{folder.path / ADAPTER_WEIGHTS} {how} {min(names)}: it is not what {ADAPTER_CONFIG} describes, or is "
                "of another base"
            )
    return model


def load_merged(folder: ModelFolder, device: Device, notes: Optional[Notes] = None) -> Classifier:
    """Load a standalone model, ours or any DistilBERT classifier.

    Raises:
        ModelError: The model has no classification head, or lacks another weight.
    """
    notes = notes or Notes()
    manifest = folder.manifest
    labels = Labels(manifest.labels) if manifest is not None else _labels_of_stranger(folder, notes)
    refuse_other_architectures(folder.path)
    model = load_standalone(folder.path, labels)
    encoder = _encoder_of(folder, None, model.config.max_position_embeddings, notes)
    refuse_foreign_tokens(encoder.tokenizer, model, folder.path)
    abstention = () if manifest is None else manifest.abstention
    return Classifier(TorchPredictor(model, device, len(labels)), encoder, labels, notes=notes, abstention=abstention)


def base_of(folder: ModelFolder, named: Optional[str], notes: Notes) -> Base:
    """The base of an adapter: the one `named`, or the one that its manifest or PEFT's config records.

    Raises:
        ModelError: It cannot be found.
        HubError: It is on the Hub, which cannot be reached.
    """
    if named is not None:
        return find_base(named, notes)
    if folder.manifest is not None:
        recorded = folder.manifest.base
        if Path(recorded.id).is_absolute() and not Path(recorded.id).is_dir():
            raise ModelError(f"the base of {folder.path} is no longer at {recorded.id}: name it with --base")
        return find_base(recorded.id, notes, recorded.revision)
    name = read_object(folder.path / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not name:
        raise ModelError(f"{folder.path / ADAPTER_CONFIG} names no base: name it with --base")
    return find_base(str(name), notes)


def manifest_of(folder: ModelFolder, classifier: Classifier, base: Optional[Base]) -> Manifest:
    """The folder's manifest, or what it would say had we made the folder; the base of a standalone model is itself."""
    if folder.manifest is not None:
        return folder.manifest
    reference = (
        base.reference
        if base is not None
        else BaseReference(id=str(folder.path.resolve()), sha256=sha256_of(folder.path / WEIGHTS))
    )
    return Manifest(
        kind="adapter" if base is not None else "merged",
        labels=classifier.labels.names,
        max_length=classifier.encoder.max_length,
        truncation=classifier.encoder.truncation,
        base=reference,
        notes=tuple(classifier.notes),
    )


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
    try:
        with safe_open(folder.path / weights, "np") as tensors:
            names = list(tensors.keys())
            heads = [name for name in names if f".{name}".endswith(".classifier.weight")]
            rows = [tensors.get_slice(name).get_shape()[0] for name in heads]
    except SafetensorError as error:
        raise unreadable_weights(folder.path / weights, error) from None
    if not rows or not any(f".{name}".endswith(".pre_classifier.weight") for name in names):
        raise ModelError(
            f"{folder.path / weights} holds no classification head (pre_classifier and classifier): "
            "train again, and save the head too"
        )
    path = folder.path / "config.json"
    config = read_object(path) if path.is_file() else {}
    problem = config.get("problem_type")
    if rows[0] < 2 or problem not in (None, "single_label_classification"):
        kind = problem or "regression, as its head has one output"
        raise ModelError(f"{folder.path} is no classifier whose labels exclude one another ({kind}): it cannot be used")
    named = _labels_in(config)
    if named is not None and len(named) == rows[0]:
        return named
    labels = Labels.unnamed(rows[0])
    notes.say(f"{folder.path} does not name its labels: calling them {', '.join(labels.names)}")
    return labels


def _labels_in(config: Mapping[str, Any]) -> Optional[Labels]:
    """The names in a model's config; None where it has none, or one for two labels."""
    try:
        id2label = msgspec.convert(config.get("id2label"), dict[str, str])
        names = tuple(id2label[str(index)] for index in range(len(id2label)))
    except (msgspec.ValidationError, KeyError):
        return None
    return Labels(names) if len(set(names)) == len(names) else None
