"""All that a training needs before its first step: the texts read, parted and encoded, and the model to train."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import msgspec
import numpy as np
import numpy.typing as npt
from transformers import set_seed

from sentilora.artifacts import Manifest
from sentilora.config import TrainConfig
from sentilora.errors import ConfigError
from sentilora.inference import Classifier
from sentilora.labels import SENTIMENT, LabelMap
from sentilora.modeling.base import Base, find_base
from sentilora.modeling.devices import Batching, Device, Precision, choose_batching, choose_precision
from sentilora.modeling.lora import attach_lora, count_parameters
from sentilora.modeling.packed import packable
from sentilora.modeling.predictor import TorchPredictor
from sentilora.modeling.pretrained import load_pretrained, load_tokenizer, refuse_foreign_tokens
from sentilora.notes import Notes
from sentilora.tables import Columns, LabelledTexts, Source, Split, as_compared, read_labelled, split_labelled, subset
from sentilora.text import EncodedText, EncodingSummary, TextEncoder, with_cleaning
from sentilora.training.processes import launched_precision

_logger = logging.getLogger("sentilora")


@dataclass(frozen=True)
class EncodedSplit:
    """Labelled texts and what the model sees of them.

    Attributes:
        data: n texts with labels; the vocabulary knows a token of each.
        texts: The same, encoded.
    """

    data: LabelledTexts
    texts: Sequence[EncodedText]

    @classmethod
    def of(cls, data: LabelledTexts, encoder: TextEncoder) -> EncodedSplit:
        """Encode the texts, and leave out and count those of which the vocabulary knows nothing."""
        encoded = encoder.encode(data.texts)
        rows = [row for row, text in enumerate(encoded) if text.readable]
        return cls(data.only(rows, "no word that the base knows"), [encoded[row] for row in rows])

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 [n], 0 negative, 1 positive."""
        return self.data.labels

    @property
    def token_ids(self) -> list[list[int]]:
        """The ids of each text."""
        return [text.ids for text in self.texts]


@dataclass(frozen=True)
class Preparation:
    """What is trained, on what.

    Attributes:
        base: The frozen encoder.
        train: Texts to train on.
        validation: Texts to validate on.
        split: How the two were parted, in one line.
        encoding: What truncation and the vocabulary cost the training texts.
        predictor: Of the model, with its adapter and head untrained.
        classifier: Over the predictor.
        precision: Of the forward and backward pass.
        batching: How the texts of a step share it.
        parameters: How many are trained, and how many there are.
    """

    base: Base
    train: EncodedSplit
    validation: EncodedSplit
    split: str
    encoding: EncodingSummary
    predictor: TorchPredictor
    classifier: Classifier
    precision: Precision
    batching: Batching
    parameters: tuple[int, int]

    @property
    def manifest(self) -> Manifest:
        """Of the adapter, before anything is known of its worth."""
        encoder = self.classifier.encoder
        return Manifest(
            kind="adapter",
            labels=SENTIMENT.names,
            max_length=encoder.max_length,
            truncation=encoder.truncation,
            base=self.base.reference,
            notes=tuple(self.classifier.notes),
        )

    @property
    def fingerprint(self) -> str:
        """What tells whether the texts and labels are the same: a sha256 in hexadecimal."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation):
            digest.update(msgspec.msgpack.encode((split.token_ids, split.labels.tolist())))
        return digest.hexdigest()


def prepare(
    config: TrainConfig, data: Source, validation: Optional[Source], device: Device, notes: Notes
) -> Preparation:
    """Read, split and encode the texts, and load the base with a new adapter and head.

    Raises:
        ConfigError: A setting does not fit the base.
        ModelError: The base is not there, damaged, or no DistilBERT.
        DataError: The data are missing, or do not hold texts of both labels.
        HubError: The base or the data are on the Hub, which cannot be reached.
    """
    precision = choose_precision(config.precision, device, notes)
    launched = launched_precision()
    if launched not in (None, precision):
        notes.say(f"accelerate's --mixed_precision {launched} is not used: --precision says {precision}")
    base = find_base(config.base, notes)
    split = _read(config, data, validation, notes)
    encoder = TextEncoder(with_cleaning(load_tokenizer(base.folder)), config.max_length, config.truncation)
    train, validating = EncodedSplit.of(split.train, encoder), EncodedSplit.of(split.validation, encoder)
    encoding = EncodingSummary.of(train.texts)
    _logger.info(f"training: {train.data.describe()}")
    _logger.info(f"validation: {validating.data.describe()}")
    _logger.info(f"split: {split.how}")
    _logger.info(f"encoding: at most {config.max_length} tokens ({config.truncation}), {encoding}")

    set_seed(config.seed)
    pretrained = load_pretrained(base.folder, SENTIMENT, config.base_dropout, config.attention_dropout)
    refuse_foreign_tokens(encoder.tokenizer, pretrained, base.folder)
    positions = pretrained.config.max_position_embeddings
    if config.max_length > positions:
        raise ConfigError(
            f"setting 'max_length': {base.reference.id} has {positions} positions, not {config.max_length}"
        )
    model = attach_lora(pretrained, config.lora)
    trained, total = count_parameters(model)
    batching = choose_batching(config.batching, packable(model), device, precision, notes)
    _logger.info(
        f"model: {base.reference.id}, {trained:,} of {total:,} parameters trained; "
        f"{device.type}, {precision}, {batching}"
    )
    predictor = TorchPredictor(model, device, len(SENTIMENT))
    classifier = Classifier(predictor, encoder, SENTIMENT, notes=notes)
    return Preparation(
        base=base,
        train=train,
        validation=validating,
        split=split.how,
        encoding=encoding,
        predictor=predictor,
        classifier=classifier,
        precision=precision,
        batching=batching,
        parameters=(trained, total),
    )


def _read(config: TrainConfig, data: Source, validation: Optional[Source], notes: Notes) -> Split:
    label_map = None
    if config.label_map is not None:
        label_map = LabelMap.parse(config.label_map)
        notes.say("labels read as " + ", ".join(f"{value} = {name}" for value, name in config.label_map.items()))
    columns = Columns(config.text_column, config.label_column, config.group_column, label_map)
    texts = read_labelled(data, columns)
    if validation is None:
        split = split_labelled(texts, config.validation_fraction, config.seed)
    else:
        if config.group_column is not None:
            notes.say("--group-column is not used: the validation texts are named, not split off")
        columns = dataclasses.replace(columns, group=None)
        split = Split(texts, read_labelled(validation, columns), "validation data of their own")
    split = Split(
        subset(split.train, config.limit, config.seed),
        subset(split.validation, config.validation_limit, config.seed),
        split.how,
    )
    leaked = len(set(map(as_compared, split.train.texts)) & set(map(as_compared, split.validation.texts)))
    if leaked:
        notes.say(f"{leaked:,} of the validation texts are training texts too: the validation flatters")
    return split
