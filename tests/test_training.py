from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn import metrics as reference
from transformers import DistilBertConfig, DistilBertModel, get_scheduler

import sentilora
from sentilora.analysis import ClassificationMetrics, evaluate
from sentilora.analysis.calibration import COOLEST, HOTTEST
from sentilora.config import LoraSettings, TrainConfig, load_config
from sentilora.errors import ConfigError, DataError, OutputError, UserError
from sentilora.tables import Columns, read_labelled, split_labelled
from sentilora.training.metric import SentimentMetric
from sentilora.training.objective import Objective


def test_a_run_holds_everything_that_made_it(run: sentilora.Run) -> None:
    assert sorted(entry.name for entry in run.folder.iterdir()) == [
        "adapter",
        "checkpoints",
        "config.yaml",
        "log.jsonl",
        "metrics.json",
        "report.html",
        "training.png",
        "validation.parquet",
    ]
    record = json.loads((run.folder / "metrics.json").read_text("utf-8"))
    assert record["scores"] == run.metrics.scores()
    assert len(record["epochs"]) == 2
    assert record["epochs"][-1]["accuracy"] == record["scores"]["accuracy"]
    assert record["reload_difference"] <= 1e-5
    assert record["validation"].startswith("24 texts")
    assert load_config(str(run.folder / "config.yaml")) == run.config
    assert not list(run.folder.rglob("*.bin")) + list(run.folder.rglob("*.pt")) + list(run.folder.rglob("*.pkl"))


def test_only_lora_and_the_head_are_trained_and_all_of_it_is_saved(run: sentilora.Run) -> None:
    saved = load_file(run.adapter / "adapter_model.safetensors")
    assert {name.split("base_model.model.")[1] for name in saved} == {
        *(f"{head}.{part}" for head in ("pre_classifier", "classifier") for part in ("weight", "bias")),
        *(
            f"distilbert.transformer.layer.{layer}.attention.q_lin.lora_{matrix}.weight"
            for layer in (0, 1)
            for matrix in "AB"
        ),
    }
    assert sum(tensor.size for tensor in saved.values()) == run.record.trained_parameters
    for name, tensor in saved.items():
        if "lora_B" in name:
            assert np.abs(tensor).max() > 0  # it starts at zero


def test_the_run_evaluates_to_what_it_recorded(run: sentilora.Run) -> None:
    data = read_labelled(str(run.folder / "validation.parquet"))
    evaluation = evaluate(sentilora.Classifier.load(run.folder), data)
    assert evaluation.metrics == run.metrics


def test_training_learns(tmp_path: Path, tiny_base: Path) -> None:
    words = {"dreadful": 0, "awful": 0, "lovely": 1, "great": 1}
    rows = [f'"the film number {n} was {word}",{label}' for n in range(40) for word, label in words.items()]
    (tmp_path / "easy.csv").write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    settings = {"base": str(tiny_base), "data": str(tmp_path / "easy.csv"), "learning_rate": 1e-2, "epochs": 12}
    run = sentilora.train(output=tmp_path / "run", max_length=32, **settings)
    assert run.metrics.accuracy > 0.95
    assert run.record.epochs[-1].loss < run.record.epochs[0].loss
    assert run.classifier("the film number 99 was lovely").label == "positive"


def test_a_data_frame_is_trained_on(tmp_path: Path, run: sentilora.Run) -> None:
    frame = pd.read_csv(run.config.data)
    ours = sentilora.train(run.config, data=frame, output=tmp_path / "frame")
    assert ours.config.data == "a table from Python"
    assert np.array_equal(ours.validation_logits, run.validation_logits)
    with pytest.raises(DataError, match="no data called 'a table from Python'"):
        sentilora.train(load_config(str(tmp_path / "frame/config.yaml")), output=tmp_path / "again")


def test_texts_of_which_no_word_is_known_are_left_out_and_counted(tmp_path: Path, run: sentilora.Run) -> None:
    frame = pd.read_csv(run.config.data)
    odd = pd.DataFrame({"id": [1, 2, 3], "Review": ["😀😀", "\x01\x02", "\u200b"], "Sentiment": ["pos", "neg", "neg"]})
    settings = {"base": run.config.base, "epochs": 1, "validation": frame}
    ours = sentilora.train(data=pd.concat([frame, odd]), output=tmp_path / "run", **settings)
    assert ours.record.training.endswith("3 rows dropped: no word that the base knows")
    answer = ours.classifier("😀")
    assert sum(answer.probabilities) == pytest.approx(1)
    assert any("holds no word that the model knows" in note for note in ours.classifier.notes)


def test_the_same_seed_gives_the_same_adapter(tmp_path: Path, run: sentilora.Run) -> None:
    again = sentilora.train(run.config, output=tmp_path / "again")
    first = load_file(run.adapter / "adapter_model.safetensors")
    second = load_file(again.adapter / "adapter_model.safetensors")
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("batching", ["packed", "padded"])
def test_bf16_training_answers_in_fp32(tmp_path: Path, run: sentilora.Run, batching: str) -> None:
    config = msgspec.structs.replace(run.config, precision="bf16", batching=batching)
    half = sentilora.train(config, output=tmp_path / "half")
    assert half.record.precision == "bf16"
    reloaded = sentilora.Classifier.load(half.folder)("A fine film.")
    assert half.classifier("A fine film.").p_positive == pytest.approx(reloaded.p_positive, abs=1e-5)
    assert reloaded.p_positive != pytest.approx(run.classifier("A fine film.").p_positive, abs=1e-7)


def test_a_finished_run_is_not_overwritten_unasked(run: sentilora.Run) -> None:
    with pytest.raises(OutputError, match="--overwrite"):
        sentilora.train(run.config, output=run.folder)


@pytest.mark.real
def test_no_film_is_on_both_sides(shared_data: Path, tmp_path: Path, tiny_base: Path) -> None:
    source = str(shared_data / "imdb_train.parquet")
    settings = {"data": source, "group_column": "movie", "limit": 300, "validation_limit": 100, "epochs": 1}
    run = sentilora.train(base=str(tiny_base), output=tmp_path / "run", max_length=128, **settings)
    assert run.record.training.startswith("300 texts (150 negative, 150 positive)")
    assert run.metrics.n == 100
    split = split_labelled(read_labelled(source, Columns(group="movie")), 0.2, run.config.seed)
    assert not set(split.train.groups) & set(split.validation.groups)
    assert set(read_labelled(str(run.folder / "validation.parquet")).texts) <= set(split.validation.texts)


def test_a_length_the_base_has_no_positions_for_is_refused(tmp_path: Path, run: sentilora.Run) -> None:
    base = shutil.copytree(run.config.base, tmp_path / "base")
    config = DistilBertConfig.from_pretrained(base)
    config.max_position_embeddings = 32
    DistilBertModel(config).save_pretrained(base)
    with pytest.raises(ConfigError, match=r"'max_length': .* has 32 positions, not 64"):
        sentilora.train(base=str(base), data=run.config.data, max_length=64, output=tmp_path / "run")


def test_validation_texts_that_leak_are_said(tmp_path: Path, run: sentilora.Run) -> None:
    data = run.config.data
    named = {"data": data, "validation": data, "group_column": "id"}
    leaky = sentilora.train(base=run.config.base, **named, epochs=1, output=tmp_path / "run")
    assert "--group-column is not used: the validation texts are named, not split off" in leaky.record.notes
    assert "120 of the validation texts are training texts too: the validation flatters" in leaky.record.notes
    stopped = leaky.classifier.temperature in (COOLEST, HOTTEST)
    assert any("the temperature stopped at" in note for note in leaky.record.notes) == stopped


def test_a_target_module_that_is_not_there_is_named(tmp_path: Path, run: sentilora.Run) -> None:
    settings = {"base": run.config.base, "data": run.config.data, "lora": {"target_modules": ["query"]}}
    with pytest.raises(ConfigError, match="no linear layer is called 'query': k_lin, lin1"):
        sentilora.train(output=tmp_path / "run", **settings)
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_diverges_leaves_nothing(tmp_path: Path, run: sentilora.Run) -> None:
    base = shutil.copytree(run.config.base, tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    weights["transformer.layer.0.ffn.lin1.bias"][0] = np.nan
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    settings = {"base": str(base), "data": run.config.data, "epochs": 1}
    with pytest.raises(UserError, match="learning_rate"):
        sentilora.train(output=tmp_path / "run", **settings)
    assert list(tmp_path.iterdir()) == [base]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=50))
def test_metrics_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = (np.array(column) for column in zip(*pairs))
    scores = ClassificationMetrics.of(labels, predicted).scores()
    assert scores["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert scores["f1"] == pytest.approx(reference.f1_score(labels, predicted, zero_division=0))
    assert scores["precision"] == pytest.approx(reference.precision_score(labels, predicted, zero_division=0))
    assert scores["recall"] == pytest.approx(reference.recall_score(labels, predicted, zero_division=0))


def test_the_evaluate_metric_needs_no_network() -> None:
    metric = SentimentMetric()
    metric.add_batch(predictions=[0, 1], references=[0, 1])
    metric.add_batch(predictions=[1, 1], references=[0, 1])
    assert metric.compute() == pytest.approx({"accuracy": 0.75, "f1": 0.8, "precision": 2 / 3, "recall": 1.0})


def test_metrics_refuse_other_labels() -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        ClassificationMetrics.of(np.array([0, 2]), np.array([0, 1]))
    with pytest.raises(ValueError, match="equally long"):
        ClassificationMetrics.of(np.array([0, 1]), np.array([0]))


def test_the_best_epoch_is_kept(tmp_path: Path, tiny_base: Path) -> None:
    """The more is learnt, the less is right on texts that are labelled the other way round: the last epoch is worst."""
    words = {"dreadful": 0, "awful": 0, "lovely": 1, "great": 1}
    data = [
        {"text": f"the film number {n} was {word}", "label": label} for n in range(40) for word, label in words.items()
    ]
    turned = [{"text": f"a film was {word}", "label": 1 - label} for word, label in words.items()]
    settings = {"base": str(tiny_base), "max_length": 32, "epochs": 6, "learning_rate": 1e-2, "best_by": "loss"}
    tables = {"data": pd.DataFrame(data), "validation": pd.DataFrame(turned)}
    best = sentilora.train(output=tmp_path / "best", **tables, **settings)
    losses = [epoch.validation_loss for epoch in best.record.epochs]
    assert best.record.best_epoch == losses.index(min(losses)) + 1 < 4
    assert best.record.scores["accuracy"] == best.record.epochs[best.record.best_epoch - 1].accuracy
    assert f"epoch {best.record.best_epoch} of 6 validated best by loss" in best.record.notes
    reloaded = evaluate(sentilora.Classifier.load(best.folder), read_labelled(str(best.folder / "validation.parquet")))
    assert np.allclose(reloaded.logits, best.validation_logits, atol=1e-5)

    stopped = sentilora.train(output=tmp_path / "early", **tables, **settings, early_stopping=2)
    assert len(stopped.record.epochs) == stopped.record.best_epoch + 2
    assert stopped.record.epochs == best.record.epochs[: len(stopped.record.epochs)]


@pytest.mark.parametrize(
    ("settings", "saying"),
    [
        ({"learning_rate": -1.0}, "'learning_rate': expected"),
        ({"max_length": 2}, "'max_length': expected"),
        ({"epochs": 0}, "'epochs': expected"),
        ({"seed": 2**33}, "'seed': expected"),
        ({"precision": "fp8"}, "'precision': invalid enum value 'fp8'; choose auto, fp32"),
        ({"lora": LoraSettings(rank=0)}, "'lora.rank': expected"),
    ],
)
def test_a_config_made_in_python_is_looked_at(
    run: sentilora.Run, tmp_path: Path, settings: dict[str, Any], saying: str
) -> None:
    with pytest.raises(ConfigError, match=saying):
        sentilora.train(TrainConfig(**{"base": run.config.base, "data": run.config.data, **settings}), output=tmp_path)


def test_early_stopping_needs_a_metric() -> None:
    with pytest.raises(ConfigError, match="'early_stopping': say with 'best_by'"):
        TrainConfig(early_stopping=2)
    with pytest.raises(ConfigError, match="'early_stopping': say with 'best_by'"):
        load_config(overrides={"early_stopping": 2})


@pytest.mark.parametrize("batching", ["packed", "padded"])
def test_a_step_in_parts_is_the_same_step(tmp_path: Path, run: sentilora.Run, batching: str) -> None:
    base = shutil.copytree(run.config.base, tmp_path / "base")
    settings = json.loads((base / "config.json").read_text("utf-8"))
    (base / "config.json").write_text(json.dumps({**settings, "seq_classif_dropout": 0.0}), "utf-8")
    config = msgspec.structs.replace(run.config, base=str(base), lora=LoraSettings(dropout=0), batching=batching)
    config = msgspec.structs.replace(config, class_weights="auto", label_smoothing=0.1, epochs=1, precision="fp32")
    whole = sentilora.train(config, output=tmp_path / "whole")
    parts = sentilora.train(msgspec.structs.replace(config, gradient_accumulation_steps=5), output=tmp_path / "parts")
    assert parts.record.epochs[0].loss == pytest.approx(whole.record.epochs[0].loss, rel=1e-5)
    assert np.allclose(parts.validation_logits, whole.validation_logits, atol=1e-4)


def test_a_training_has_its_own_precision_whatever_came_before(tmp_path: Path, run: sentilora.Run) -> None:
    config = msgspec.structs.replace(run.config, batching="padded", epochs=1)
    logits = [
        sentilora.train(msgspec.structs.replace(config, precision=precision), output=tmp_path / name).validation_logits
        for name, precision in (("first", "fp32"), ("half", "bf16"), ("again", "fp32"))
    ]
    assert (logits[0] == logits[2]).all()
    assert (logits[0] != logits[1]).any()


def test_a_precision_that_was_launched_is_not_used_and_that_is_said(
    tmp_path: Path, run: sentilora.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = msgspec.structs.replace(run.config, batching="padded", epochs=1, precision="fp32")
    plain = sentilora.train(config, output=tmp_path / "plain")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")  # as `accelerate launch --mixed_precision bf16` does
    launched = sentilora.train(config, output=tmp_path / "launched")
    assert (launched.validation_logits == plain.validation_logits).all()
    said = "accelerate's --mixed_precision bf16 is not used: --precision says fp32"
    assert said in launched.record.notes
    assert said not in plain.record.notes
    assert os.environ["ACCELERATE_MIXED_PRECISION"] == "bf16"


def test_class_weights_move_the_threshold(tmp_path: Path, run: sentilora.Run) -> None:
    def called_positive(weights: str) -> int:
        config = msgspec.structs.replace(run.config, class_weights=weights, epochs=3)
        metrics = sentilora.train(config, output=tmp_path / weights).metrics
        return metrics.true_positive + metrics.false_positive

    assert called_positive("1,20") > called_positive("20,1")


@pytest.mark.parametrize(
    ("tracker", "error"),
    [
        ("tensorbord", "tensorbord is not supported, only .*tensorboard, .* are supported"),
        ("tensorboard", "tensorboard is not installed: run pip install tensorboard$"),
        ("azure_ml", "azure_ml is not installed: run pip install azureml-sdk$"),
    ],
)
def test_a_tracker_that_is_not_there_is_said_before_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str, error: str
) -> None:
    find_spec = importlib.util.find_spec
    absent = {"tensorboard", "tensorboardX", "azureml"}  # wherever the tests run
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in absent else find_spec(name, *more)
    )
    with pytest.raises(ConfigError, match=error) as caught:
        sentilora.train(data=str(tmp_path / "nothing.csv"), report_to=(tracker,), output=tmp_path / "run")
    assert "\n" not in str(caught.value)


@given(
    st.lists(st.integers(0, 1), min_size=2, max_size=30).filter(lambda labels: 0 < sum(labels) < len(labels)),
    st.floats(0, 0.9),
    st.sampled_from(["none", "auto", "1,3"]),
    st.integers(1, 10),
)
def test_the_objective_is_the_weighted_mean_however_it_is_parted(
    labels: list[int], smoothing: float, weights: str, size: int
) -> None:
    config = load_config(overrides={"label_smoothing": smoothing, "class_weights": weights})
    objective = Objective.of(config, np.array(labels))
    logits, targets = torch.randn(len(labels), 2), torch.tensor(labels)
    parts = [range(start, min(start + size, len(labels))) for start in range(0, len(labels), size)]
    total = sum(objective.of_part(logits[list(part)], targets[list(part)], targets) for part in parts)
    expected = torch.nn.functional.cross_entropy(logits, targets, weight=objective.weights, label_smoothing=smoothing)
    assert total.item() == pytest.approx(expected.item(), rel=1e-4)
    if weights == "auto":
        negative, positive = (objective.weights * torch.bincount(targets)).tolist()
        assert negative == pytest.approx(positive, rel=1e-5)


@pytest.mark.parametrize("weights", ["1", "balanced", "1,2,3", "1,0", "-1,1", "1.2.3,4"])
def test_class_weights_that_make_no_sense(weights: str, run: sentilora.Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="class_weights"):
        config = load_config(overrides={"class_weights": weights, "base": run.config.base, "data": run.config.data})
        sentilora.train(config, output=tmp_path / "run")


def test_the_log_and_the_curve(run: sentilora.Run) -> None:
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text("utf-8").splitlines()]
    steps = [line for line in log if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 13))
    assert all(line["learning_rate"] >= 0 and line["grad_norm"] > 0 for line in steps)
    validations = [line for line in log if "eval_loss" in line]
    assert [line["eval_accuracy"] for line in validations] == [epoch.accuracy for epoch in run.record.epochs]
    assert (run.folder / "training.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_learning_rates_are_those_of_the_trainers_schedules(
    tmp_path: Path, run: sentilora.Run, schedule: str
) -> None:
    settings = {"learning_rate": 1e-3, "head_learning_rate": 3e-3, "warmup": 0.25, "checkpoint_steps": 5}
    config = msgspec.structs.replace(run.config, schedule=schedule, **settings)
    ours = sentilora.train(config, output=tmp_path / "run")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    # 12 steps, of which the rate rises over 3.
    expected = get_scheduler({"constant": "constant_with_warmup"}.get(schedule, schedule), optimizer, 3, 12)
    rates = []
    for _ in range(12):
        rates.append(expected.get_last_lr()[0])
        optimizer.step()
        expected.step()
    log = [json.loads(line) for line in (ours.folder / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["learning_rate"] for line in log if "loss" in line] == pytest.approx(rates)
    after_10 = json.loads((ours.folder / "checkpoints/step-000010/training.json").read_text("utf-8"))
    assert [group["lr"] for group in after_10["groups"]] == pytest.approx([rates[10], 3 * rates[10]])


def test_few_kernels_are_kept() -> None:
    """In a process of its own, as oneDNN reads how many once."""
    script = """
import torch
from sentilora.training.memory import few_kernels_kept
few_kernels_kept()
with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON_CREATION):
    for rows in [*range(1, 201), 200, 1]:
        torch.ops.mkldnn._linear_pointwise(torch.ones(rows, 8), torch.ones(8, 8), None, "none", [], "")
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    def made(rows: int) -> int:
        return sum("cache_miss" in line and f",mb{rows}ic8oc8," in line for line in output.splitlines())

    assert made(200) == 1  # lately used
    assert made(1) == 2  # long ago


@pytest.mark.skipif(
    not (sys.platform == "linux" and torch.ops.mkldnn._is_mkldnn_bf16_supported()), reason="needs bf16 products"
)
def test_products_of_many_shapes_take_little_memory() -> None:
    """In a process of its own, as PyTorch reads how many plans of products it is to keep once."""
    script = """
import torch
from sentilora.training.memory import few_kernels_kept
few_kernels_kept()
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
weight = torch.ones(64, 64, dtype=torch.bfloat16)
torch.ones(7, 64, dtype=torch.bfloat16) @ weight
before = resident()
for rows in range(8, 520):
    torch.ones(rows, 64, dtype=torch.bfloat16) @ weight
print(resident() - before)
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert int(output) < 200_000  # kB; with 1,024 of them 330,000
