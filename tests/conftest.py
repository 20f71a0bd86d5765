"""Small real models, built once a session, instead of mocks."""

from __future__ import annotations

import csv
import logging
import os
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
import torch
from hypothesis import settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import DistilBertConfig, DistilBertModel

import sentilora
from sentilora.export import export
from sentilora.tables import LabelledTexts, read_labelled

# No test may ask the real Hub; the ones about the Hub bring their own.
os.environ["HF_HUB_OFFLINE"] = "1"

settings.register_profile("untimed", deadline=None)  # a busy machine is no defect
settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = pytest.mark.skip(reason=f"{SHARED} is not there")
    for item in items:
        if item.get_closest_marker("real") and not SHARED.is_dir():
            item.add_marker(absent)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Commands that run in this process have its messages go their own way, where no later test would see them."""
    logger = logging.getLogger("sentilora")
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return SHARED / "data"


@pytest.fixture(scope="session")
def reviews() -> LabelledTexts:
    return read_labelled("bundled")


def with_files_of_at_most(size: int) -> Callable[[], None]:
    """What a full disk does to a process: writing fails with an error of the operating system."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def make_base(folder: Path, texts: list[str], seed: int = 0) -> Path:
    """A DistilBERT with random weights and two layers, and a WordPiece tokenizer that knows `texts`."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    letters = sorted({letter for word in words for letter in word})
    # Counted rather than trained: the trainer breaks ties by chance, and no two runs would have the same base.
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *sorted(words, key=lambda w: (-words[w], w))]
    vocabulary = {piece: number for number, piece in enumerate(list(dict.fromkeys(pieces))[:2000])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(seed)
    # Wide initial weights: with the usual 0.02 a random encoder hardly looks at its words.
    size = {"dim": 32, "hidden_dim": 64, "n_heads": 4, "n_layers": 2, "initializer_range": 0.3}
    model = DistilBertModel(DistilBertConfig(vocab_size=tokenizer.get_vocab_size(), pad_token_id=0, **size))
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, reviews: LabelledTexts) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "tiny", reviews.texts)


@pytest.fixture(scope="session")
def reviews_csv(tmp_path_factory: pytest.TempPathFactory, reviews: LabelledTexts) -> Path:
    """The first 120 bundled reviews as people keep theirs."""
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "Review", "Sentiment"])
        for row in range(120):
            writer.writerow([row, reviews.texts[row], ("neg", "pos")[reviews.labels[row]]])
    return path


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, reviews_csv: Path) -> sentilora.Run:
    """A finished training on the tiny base. Do not change its folder: copy it."""
    output = tmp_path_factory.mktemp("runs") / "tiny"
    settings = {"base": str(tiny_base), "data": str(reviews_csv), "epochs": 2, "max_length": 64, "precision": "fp32"}
    return sentilora.train(output=output, **settings)


@pytest.fixture(scope="session")
def sure_texts(tmp_path_factory: pytest.TempPathFactory, run: sentilora.Run, reviews: LabelledTexts) -> Path:
    """The unseen reviews that the tiny model is surest of, a line each: most others it calls by a hair."""
    answers = sorted(run.classifier(reviews.texts[120:520]), key=lambda answer: -answer.confidence)[:80]
    path = tmp_path_factory.mktemp("sure") / "sure.txt"
    path.write_text("".join(" ".join(answer.text.split()) + "\n" for answer in answers), "utf-8")
    return path


@pytest.fixture(scope="session")
def bundle(run: sentilora.Run, sure_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished training as a bundle. Do not change its folder: copy it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.1)
        return export([run.folder], tmp_path_factory.mktemp("bundles") / "one", unlabelled=sure_texts).folder
