"""Pretraining on unlabelled texts: it learns, goes on after a kill bit for bit, and leaves a base like any other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, DistilBertForMaskedLM, pipeline

import sentilora
from sentilora.config import PretrainConfig
from sentilora.errors import DataError, UserError
from sentilora.modeling.packed import PackedMaskedLM
from sentilora.modeling.predictor import padded
from sentilora.tables import LabelledTexts
from sentilora.training.corpus import read_corpus
from sentilora.training.masking import Masking
from sentilora.training.pretraining import PretrainedBase

WEIGHTS = "model.safetensors"
SETTINGS = {"max_length": 32, "batch_tokens": 512, "learning_rate": 5e-3, "precision": "fp32", "checkpoint_steps": 5}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, reviews: LabelledTexts) -> PretrainedBase:
    output = tmp_path_factory.mktemp("bases") / "tiny"
    return sentilora.pretrain(reviews.texts[:600], base=str(tiny_base), epochs=4, output=output, **SETTINGS)


def command(base: Path, data: Path, *more: object) -> list[str]:
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    begin = [sys.executable, "-m", "sentilora", "pretrain", str(data), "--output", "base", "--base", str(base)]
    return [*begin, *settings, "--epochs", "8", *map(str, more)]


def interrupt(arguments: list[str], cwd: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Start a pretraining and send it a signal once it has written a checkpoint."""
    process = subprocess.Popen(arguments, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(cwd.glob("base.unfinished/checkpoints/step-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def finish(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def test_hidden_words_of_unseen_texts_are_guessed_better(pretrained: PretrainedBase) -> None:
    record = pretrained.record
    assert record.after.loss < record.before.loss - 0.3
    assert record.after.accuracy > record.before.accuracy
    assert "570 texts of" in record.texts
    assert "30 texts held out" in record.texts
    assert any("brings no head for masked words" in note for note in record.notes)
    lines = [json.loads(line) for line in (pretrained.folder / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(1, record.steps + 1))


def test_a_base_that_got_worse_is_told_of(tiny_base: Path, tmp_path: Path) -> None:
    texts = ["a " + "very " * number + "fine film" for number in range(30)]
    settings: dict[str, Any] = {"base": str(tiny_base), "learning_rate": 1.0, "max_steps": 2, "warmup": 0.0}
    worse = sentilora.pretrain(texts, output=tmp_path / "worse", **settings)
    assert worse.record.after.loss > worse.record.before.loss
    assert any("guessed worse than before" in note for note in worse.record.notes)


def test_the_base_trains_an_adapter(pretrained: PretrainedBase, reviews_csv: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"data": str(reviews_csv), "epochs": 1, "max_length": 32}
    run = sentilora.train(base=str(pretrained.folder), output=tmp_path / "run", **settings)
    manifest = json.loads((run.adapter / "sentilora.json").read_text("utf-8"))
    assert manifest["base"]["sha256"] == pretrained.record.weights
    expected = run.classifier("A fine film.").probabilities
    assert sentilora.Classifier.load(run.folder)("A fine film.").probabilities == pytest.approx(expected, abs=1e-5)


def test_plain_transformers_reads_it(pretrained: PretrainedBase, tiny_base: Path) -> None:
    assert {path.name for path in pretrained.folder.iterdir()} >= {
        "config.json",
        WEIGHTS,
        "tokenizer.json",
        "README.md",
    }
    readme = (pretrained.folder / "README.md").read_text("utf-8")
    assert "license: unknown" in readme  # of a base of our own
    assert str(tiny_base.parent) not in readme
    model, loading = AutoModel.from_pretrained(pretrained.folder, dtype=torch.float32, output_loading_info=True)
    assert not loading["missing_keys"]
    ids = AutoTokenizer.from_pretrained(pretrained.folder)("A fine<br />film.", return_tensors="pt")
    assert torch.isfinite(model(input_ids=ids["input_ids"]).last_hidden_state).all()
    (guess, *_) = pipeline("fill-mask", model=str(pretrained.folder))("a very good [MASK] .")
    assert 0 < guess["score"] < 1


def test_it_goes_on_from_its_own_base_with_the_head(
    pretrained: PretrainedBase, reviews: LabelledTexts, tmp_path
) -> None:
    again = sentilora.pretrain(
        reviews.texts[600:900], base=str(pretrained.folder), max_steps=3, output=tmp_path / "again", **SETTINGS
    ).record
    assert again.steps == 3
    assert again.before.loss < pretrained.record.before.loss - 0.3
    assert not any("brings no head" in note for note in again.notes)


def test_killed_it_ends_where_an_uninterrupted_one_ends(tiny_base: Path, reviews_csv: Path, tmp_path: Path) -> None:
    arguments = command(tiny_base, reviews_csv)
    whole = tmp_path / "whole"
    whole.mkdir()
    assert finish(arguments, whole).returncode == 0
    killed = interrupt(arguments, tmp_path, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    (tmp_path / "base.unfinished/.pretraining.json.1.tmp").touch()  # and in the midst of writing
    (tmp_path / "base.unfinished/checkpoints/.step-00000099.0123abcd.tmp").mkdir()
    finished = finish(arguments, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "resumed from base.unfinished/checkpoints/step-" in finished.stderr
    assert "held-out perplexity" in finished.stdout
    assert (tmp_path / "base" / WEIGHTS).read_bytes() == (whole / "base" / WEIGHTS).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "whole"]
    assert not (tmp_path / "base" / "checkpoints").exists()
    assert not list((tmp_path / "base").glob(".*"))
    ours, theirs = (folder / "base" / "log.jsonl" for folder in (tmp_path, whole))
    assert ours.read_text("utf-8") == theirs.read_text("utf-8")


def test_stopped_it_says_how_to_go_on_and_only_with_the_same(
    tiny_base: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    data = tmp_path / "reviews.csv"
    data.write_bytes(reviews_csv.read_bytes())
    stopped = interrupt(command(tiny_base, data), tmp_path, signal.SIGTERM)
    assert stopped.returncode == 130
    assert "give the same command again to go on from there" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    changed = finish(command(tiny_base, data, "--seed", 3), tmp_path)
    assert changed.returncode == 2
    assert "begun with other settings (seed)" in changed.stderr
    (progress,) = tmp_path.glob("base.unfinished/checkpoints/step-*/training.json")
    ours = progress.read_text("utf-8")
    progress.write_text(ours.replace('"fp32"', '"bf16"'), "utf-8")  # as `auto` settles it on another machine
    changed = finish(command(tiny_base, data), tmp_path)
    assert changed.returncode == 2
    assert "cannot go on: it was begun in bf16, and would go on in fp32" in changed.stderr
    progress.write_text(ours, "utf-8")
    data.write_text(data.read_text("utf-8").replace(" the ", " a "), "utf-8")
    changed = finish(command(tiny_base, data), tmp_path)
    assert changed.returncode == 2
    assert "cannot go on: the texts have changed" in changed.stderr
    anew = finish(command(tiny_base, data, "--overwrite", "--max-steps", 2), tmp_path)
    assert anew.returncode == 0, anew.stderr
    assert "resumed" not in anew.stderr


def test_a_time_is_planned_in_steps(tiny_base: Path, reviews: LabelledTexts, tmp_path: Path) -> None:
    record = sentilora.pretrain(
        reviews.texts, base=str(tiny_base), epochs=20, minutes=0.01, output=tmp_path / "base", **SETTINGS
    ).record
    assert any(note.startswith("0.01 minutes are planned as") for note in record.notes)
    assert record.steps < 1000


@pytest.mark.parametrize(
    ("texts", "settings", "error"),
    [
        (["too few"] * 50, {}, "holds 1 different texts to learn from: it takes 20 at least"),
        ([f"text {n}" for n in range(30)], {"base": "nowhere"}, "--base embedded"),
        ([f"text {n}" for n in range(30)], {"mask_share": 1.5}, "setting 'mask_share'"),
        ([f"text {n}" for n in range(30)], {"mask_shar": 0.5}, "did you mean 'mask_share'"),
    ],
)
def test_mistakes_are_one_line(tiny_base: Path, tmp_path: Path, texts: list[str], settings: Any, error: str) -> None:
    with pytest.raises(UserError, match=error) as caught:
        sentilora.pretrain(texts, output=tmp_path / "base", **{"base": str(tiny_base), **settings})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_packed_loss_and_gradients_are_those_of_padded_transformers(tiny_base: Path, reviews: LabelledTexts) -> None:
    torch.manual_seed(0)
    model = DistilBertForMaskedLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    corpus, masking = encoded(tiny_base, reviews.texts[:60], 0.15)
    pieces = masking(corpus.train[:40], np.random.default_rng(1))
    ids, mask = padded([piece.ids for piece in pieces])
    labels = torch.full_like(ids, -100)
    for row, piece in enumerate(pieces):
        labels[row, piece.places] = torch.tensor(piece.hidden)
    expected = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    expected.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    logits = PackedMaskedLM(model)([piece.ids for piece in pieces], [piece.places for piece in pieces])
    loss = torch.nn.functional.cross_entropy(
        logits, torch.tensor([token for piece in pieces for token in piece.hidden])
    )
    loss.backward()
    assert abs(loss.item() - expected.item()) <= 1e-5
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if "k_lin.bias" in name:  # which a softmax ignores: only rounding is left of its gradient
            continue
        assert (parameter.grad - gradients[name]).norm() <= 1e-4 * gradients[name].norm(), name


def encoded(base: Path, texts: list[str], share: float, max_length: int = 32) -> tuple[Any, Masking]:
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    return read_corpus(texts, PretrainConfig(max_length=max_length), tokenizer), Masking.of(tokenizer, share)


def test_nothing_of_a_text_is_lost_or_repeated(tiny_base: Path, reviews: LabelledTexts) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    corpus, _ = encoded(tiny_base, reviews.texts, 0.15)
    pieces = [*corpus.train, *corpus.held_out]
    inner = sum(len(piece) - 2 for piece in pieces)
    assert inner == sum(len(tokenizer.encode(text).ids) - 2 for text in dict.fromkeys(reviews.texts))
    assert max(map(len, pieces)) <= 32
    assert {(piece[0], piece[-1]) for piece in pieces} == {(2, 3)}


@given(st.integers(3, 200), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_hidden_tokens_can_be_put_back(length: int, share: float, seed: int) -> None:
    piece = np.arange(1000, 1000 + length, dtype=np.int32)
    (masked,) = Masking(share, 4, np.arange(5, 50))([piece], np.random.default_rng(seed))
    assert len(masked.places) == max(1, round((length - 2) * share))
    assert masked.places[0] > 0
    assert masked.places[-1] < length - 1
    assert masked.places == sorted(set(masked.places))
    ids = list(masked.ids)
    for place, token in zip(masked.places, masked.hidden):
        ids[place] = token
    assert ids == piece.tolist()


def test_tokens_are_hidden_as_bert_hides_them(tiny_base: Path, reviews: LabelledTexts) -> None:
    corpus, masking = encoded(tiny_base, reviews.texts, 0.15)
    rng = np.random.default_rng(0)
    first, second = masking(corpus.train, rng), masking(corpus.train, rng)
    assert [piece.places for piece in first] != [piece.places for piece in second]
    seen = np.array([piece.ids[place] for piece in first for place in piece.places])
    hidden = np.array([token for piece in first for token in piece.hidden])
    assert np.mean(seen == masking.mask) == pytest.approx(0.8, abs=0.02)
    assert np.mean(seen == hidden) == pytest.approx(0.1, abs=0.02)
    assert len(hidden) / sum(map(len, corpus.train)) == pytest.approx(0.15, abs=0.03)


def test_too_few_texts_are_refused(tiny_base: Path) -> None:
    with pytest.raises(DataError, match="holds 0 different texts"):
        encoded(tiny_base, ["☃"] * 40, 0.15)
