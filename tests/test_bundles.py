"""Bundles: exported behind a gate, opened without PyTorch, answering the same bits however they are asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import msgspec
import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from peft import LoraConfig, get_peft_model
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification

import sentilora
from sentilora.artifacts import Manifest, open_model, read_manifest, write_manifest
from sentilora.cli.app import cli
from sentilora.errors import ConfigError, ModelError, OutputError, ParityError
from sentilora.export import export, exporting
from sentilora.export.gate import Verdict
from sentilora.export.graph import adaptable_graph
from sentilora.export.quantisation import FP32, LADDER, LADDER_WITHOUT_VNNI, per_block, per_output
from sentilora.export.weights import adapter_arrays, encoder_of
from sentilora.export.writing import write_graph
from sentilora.inference import Classifier
from sentilora.inference.bundle import Bundle
from sentilora.inference.onnx import Graph, OnnxPredictor
from sentilora.inference.scheduler import OverloadedError, Scheduler
from sentilora.inference.threads import available_cores
from sentilora.labels import SENTIMENT
from sentilora.modeling.devices import Device
from sentilora.modeling.merging import merge
from sentilora.modeling.predictor import TorchPredictor

TEXTS = ["A gorgeous, moving film.", "My two hours back, please.<br />Awful.", "ok " * 300, "", "broke on day two"] * 3


@pytest.fixture(scope="module", autouse=True)
def lenient() -> Iterator[None]:
    """The tiny model calls most of its few validation texts by a hair."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.2)
        patch.setattr("sentilora.export.gate.LABELS_CHANGED", 0.2)
        yield


@pytest.fixture(scope="module")
def strange(run: sentilora.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter by plain PEFT: another rank, other layers, three labels."""
    torch.manual_seed(3)
    names = {0: "bad", 1: "fair", 2: "good"}
    model = AutoModelForSequenceClassification.from_pretrained(run.config.base, num_labels=3, id2label=names)
    config = LoraConfig(
        task_type="SEQ_CLS", r=2, target_modules=["q_lin", "v_lin", "lin2"], init_lora_weights=False, lora_alpha=4
    )
    folder = tmp_path_factory.mktemp("strange") / "strange"
    get_peft_model(model, config).save_pretrained(folder)
    model.config.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def shared(run: sentilora.Run, strange: Path, sure_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export([run.folder, strange], tmp_path_factory.mktemp("bundles") / "two", unlabelled=sure_texts).folder


def test_a_bundle_answers_as_the_run(run: sentilora.Run, bundle: Path) -> None:
    classifier = sentilora.Classifier.load(bundle)
    expected = run.classifier(TEXTS)
    for ours, theirs in zip(classifier(TEXTS), expected):
        assert ours.p_positive == pytest.approx(theirs.p_positive, abs=0.1)
        assert (ours.text, ours.truncated) == (theirs.text, theirs.truncated)
    manifest = open_model(bundle).manifest
    assert manifest.gate["fp32_difference"] <= 1e-4
    assert manifest.gate["changed"] <= 0.015
    assert manifest.quantisation.startswith("int8")


def test_a_bundle_knows_which_answers_are_uncertain(run: sentilora.Run, bundle: Path) -> None:
    assert open_model(bundle).manifest.abstention == run.classifier.abstention
    point = max(run.classifier.abstention, key=lambda point: point.precision)
    careful = sentilora.Classifier.load(bundle, precision=point.precision)
    assert careful.answers_from.precision == point.precision
    for before, after in zip(sentilora.Classifier.load(bundle)(TEXTS), careful(TEXTS)):
        sure = before.confidence >= careful.answers_from.confidence
        assert after.label == (before.label if sure else "uncertain")


def test_an_answer_is_the_same_bit_for_bit_however_it_is_asked(bundle: Path) -> None:
    classifier = sentilora.Classifier.load(bundle)
    alone = [classifier(text).probabilities for text in TEXTS]
    assert [prediction.probabilities for prediction in classifier(TEXTS)] == alone
    assert [prediction.probabilities for prediction in classifier.predict_iter(iter(TEXTS), batch_size=4)] == alone
    found: dict[int, list[tuple[float, ...]]] = {}

    def ask(number: int) -> None:
        found[number] = [classifier(text).probabilities for text in TEXTS]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number] == alone for number in range(4))


def test_a_bundle_needs_no_torch(bundle: Path) -> None:
    code = (
        "import sys, sentilora; print(sentilora.Classifier.load(sys.argv[1])('Lovely.').label); "
        "assert not {'torch', 'transformers', 'peft', 'onnx'} & sys.modules.keys()"
    )
    process = subprocess.run([sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() in ("negative", "positive")


def test_the_readme_of_a_bundle_runs_with_plain_onnxruntime(bundle: Path) -> None:
    code = re.search(r"```python\n(.*?)```", (bundle / "README.md").read_text("utf-8"), re.S)[1]
    assert len(code.strip().splitlines()) <= 10
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=bundle, capture_output=True, text=True, check=False, timeout=60
    )
    assert process.returncode == 0, process.stderr
    expected = sentilora.Classifier.load(bundle)("A gorgeous, moving film.")
    assert eval(process.stdout)["positive"] == pytest.approx(expected.p_positive, abs=1e-6)


def test_the_graph_takes_one_text_and_nothing_else(bundle: Path) -> None:
    session = onnxruntime.InferenceSession(str(bundle / "model.onnx"))
    with pytest.raises(Exception, match=r"(?i)invalid"):
        session.run(None, {"input_ids": np.zeros((2, 5), np.int64)})


def test_a_merged_model_and_its_temperature_are_exported(run: sentilora.Run, sure_texts: Path, tmp_path: Path) -> None:
    adapter = shutil.copytree(run.adapter, tmp_path / "adapter")
    manifest = open_model(adapter).manifest
    (adapter / "sentilora.json").unlink()
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    write_manifest(adapter, type(manifest)(**{**fields, "temperature": 2.5}))
    merge(adapter, tmp_path / "merged")
    expected = sentilora.Classifier.load(adapter)(TEXTS[0]).p_positive
    assert expected != pytest.approx(run.classifier(TEXTS[0]).p_positive, abs=1e-3)
    for number, source in enumerate((adapter, tmp_path / "merged")):
        made = export([source], tmp_path / f"bundle{number}", unlabelled=sure_texts).folder
        assert sentilora.Classifier.load(made)(TEXTS[0]).p_positive == pytest.approx(expected, abs=0.03)


def test_adapters_over_one_base_answer_as_each_alone(run: sentilora.Run, strange: Path, shared: Path) -> None:
    opened = Bundle.open(shared)
    assert set(opened.classifiers) == {run.folder.name, "strange"}
    assert opened.classifiers[run.folder.name].labels.names == ("negative", "positive")
    plain = sentilora.Classifier.load(strange)
    for text in TEXTS[:5]:
        ours = opened.classifiers["strange"](text)
        assert ours.p_positive is None
        assert ours.probabilities == pytest.approx(plain(text).probabilities, abs=0.15)
        assert opened.classifiers[run.folder.name](text).p_positive == pytest.approx(
            run.classifier(text).p_positive, abs=0.1
        )
    assert read_manifest(shared / "adapters" / "strange").gate["fp32_difference"] <= 1e-4
    assert sentilora.Classifier.load(shared, adapter="strange")(TEXTS[0]) == opened.classifiers["strange"](TEXTS[0])
    with pytest.raises(ModelError, match="holds several adapters"):
        sentilora.Classifier.load(shared)
    with pytest.raises(ModelError, match="no adapter 'none'"):
        sentilora.Classifier.load(shared, adapter="none")


def test_every_command_takes_one_of_several_adapters(run: sentilora.Run, shared: Path) -> None:
    def output_of(*arguments: object) -> str:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    chosen = ("--adapter", run.folder.name)
    predicted = output_of("predict", "--model", shared, *chosen, TEXTS[0])
    assert json.loads(predicted.splitlines()[-1])["label"] in ("negative", "positive")
    assert "ROC-AUC" in output_of("evaluate", shared, *chosen, "--data", "bundled:test")
    assert "judged by the model named" in output_of("audit", "bundled:test", "--model", shared, *chosen, "--json")
    refused = CliRunner().invoke(cli, ["audit", "bundled:test", *chosen])
    assert "--model names: give it too" in str(refused.exception)


def test_an_adapter_costs_its_own_size(shared: Path) -> None:
    graph = (shared / "model.onnx_data").stat().st_size
    for adapter in (shared / "adapters").iterdir():
        assert sum(file.stat().st_size for file in adapter.iterdir()) < graph / 2


def test_the_head_is_kept_in_half_precision_beside_an_int8_base(shared: Path) -> None:
    """It is most of an adapter, and exact to three decimals of a weight where the base is not."""
    for adapter in (shared / "adapters").iterdir():
        arrays = load_file(adapter / "adapter.safetensors")
        halves = [name for name, array in arrays.items() if array.dtype == np.float16]
        assert halves == ["head.inner.weight"]
        assert all(array.dtype == np.float32 for name, array in arrays.items() if name not in halves)


def test_adapters_come_and_go(shared: Path, tmp_path: Path) -> None:
    opened = Bundle.open(shared)
    before = opened.classifiers
    expected = before["strange"](TEXTS[0])
    opened.unload("strange")
    assert "strange" not in opened.classifiers
    assert before["strange"](TEXTS[0]) == expected
    assert opened.load("again", shared / "adapters" / "strange")(TEXTS[0]) == expected
    with pytest.raises(ModelError, match="holds no adapter"):
        opened.unload("strange")


def test_an_adapter_of_another_base_is_refused(shared: Path, tmp_path: Path) -> None:
    foreign = shutil.copytree(shared / "adapters" / "strange", tmp_path / "foreign")
    manifest = read_manifest(foreign)
    (foreign / "sentilora.json").unlink()
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    write_manifest(foreign, type(manifest)(**{**fields, "graph": "0" * 64}))
    with pytest.raises(ModelError, match="made for another base"):
        Bundle.open(shared).load("foreign", foreign)


def test_a_damaged_adapter_is_one_line(shared: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shared, tmp_path / "copy")
    weights = copy / "adapters" / "strange" / "adapter.safetensors"
    arrays = load_file(weights)
    save_file({**arrays, "layer.0.out.down": np.zeros((3, 1), np.float32)}, weights)
    with pytest.raises(ModelError, match="is damaged"):
        Bundle.open(copy)
    path = copy / "adapters" / "strange" / "sentilora.json"
    manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    path.unlink()
    write_manifest(path.parent, manifest)
    with pytest.raises(ModelError, match=r"does not fit the graph: look at layer\.0\.out\.down"):
        Bundle.open(copy)
    shutil.rmtree(copy / "adapters")
    with pytest.raises(ModelError, match="has no adapter in adapters/: copy the whole folder"):
        sentilora.Classifier.load(copy)


_SCRIPTS = {
    "forked": """
answers = classifier(TEXTS)
child = os.fork()
if not child:
    os._exit(0 if classifier(TEXTS) == answers and classifier(TEXTS[0]) == answers[0] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert classifier(TEXTS) == answers
""",
    "let go": """
before = threading.active_count()
for _ in range(5):
    other = sentilora.Classifier.load(sys.argv[1], threads=3)
    other(TEXTS)
    del other
    gc.collect()
until = time.monotonic() + 10
while threading.active_count() > before and time.monotonic() < until:
    time.sleep(0.01)
print(threading.active_count() - before)
""",
}


@pytest.mark.parametrize("what", _SCRIPTS)
def test_a_bundle_in_a_process_of_its_own(bundle: Path, tmp_path: Path, what: str) -> None:
    """Neither a fork nor many bundles leave threads behind that are waited for, or that nobody waits for."""
    script = (
        f"import gc, os, sys, threading, time; import sentilora; TEXTS = {TEXTS[:5]!r}\n"
        f"classifier = sentilora.Classifier.load(sys.argv[1], threads=2)\n{_SCRIPTS[what]}"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    command = [sys.executable, "-c", script, str(bundle)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100, env=environment)
    assert found.stdout == "0\n"
    assert {path.name for path in tmp_path.rglob("*")} <= {".cache", "sentilora", "proved"} | {
        path.name for path in tmp_path.glob(".cache/sentilora/proved/*")
    }  # nothing for anyone else, and nothing of ONNX Runtime's


def test_options_of_other_models_are_refused(bundle: Path) -> None:
    for options, saying in (
        ({"base": "embedded"}, "--base embedded: .* is no adapter"),
        ({"device": "cuda"}, "--device cuda: a bundle computes on the CPU"),
        ({"threads": -1}, "-1 threads: at least 1"),
        ({"threads": 0}, "0 threads: at least 1"),
    ):
        with pytest.raises(ConfigError, match=saying):
            sentilora.Classifier.load(bundle, **options)
    for models in (str(bundle), []):
        with pytest.raises(ModelError, match="takes a list"):
            export(models)


@pytest.mark.parametrize("settings", [{"bias": "lora_only"}, {"target_modules": ["q_lin", "word_embeddings"]}])
def test_what_is_more_than_lora_shares_no_base(run: sentilora.Run, tmp_path: Path, settings: dict[str, object]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(run.config.base)
    config = LoraConfig(**{"task_type": "SEQ_CLS", "r": 2, "target_modules": ["q_lin"], **settings})
    get_peft_model(model, config).save_pretrained(tmp_path / "other", save_embedding_layers=False)
    with pytest.raises(ModelError, match="export takes plain LoRA adapters"):
        export([run.folder, tmp_path / "other"], tmp_path / "bundle")


def test_a_machine_that_answers_otherwise_is_noticed(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    manifest = open_model(copy).manifest
    (copy / "sentilora.json").unlink()
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    moved = tuple(type(probe)(text=probe.text, logits=tuple(x + 1 for x in probe.logits)) for probe in manifest.probes)
    write_manifest(copy, type(manifest)(**{**fields, "probes": moved}))
    with pytest.raises(ModelError, match="on this processor"):
        sentilora.Classifier.load(copy)


def test_the_next_safer_way_is_tried_and_said(
    run: sentilora.Run, sure_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first rung that ruins the answers: two levels of weights."""
    monkeypatch.setattr("sentilora.export.gate.LABELS_CHANGED", 0.015)
    ruinous = type(LADDER[0])("two levels", 1)
    monkeypatch.setattr(exporting, "ladder", lambda notes: (ruinous, *LADDER[1:]))
    exported = export([run.folder], tmp_path / "bundle", unlabelled=sure_texts)
    assert exported.quantisation == LADDER[1].name
    assert any("two levels is refused" in note for note in exported.notes)
    monkeypatch.setattr(exporting, "ladder", lambda notes: (ruinous,))
    with pytest.raises(ParityError, match="no way to quantise"):
        export([run.folder], tmp_path / "none", unlabelled=sure_texts)
    assert not (tmp_path / "none").exists()


def test_every_way_to_quantise_runs(
    run: sentilora.Run, sure_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, way in enumerate((FP32, *LADDER, *LADDER_WITHOUT_VNNI)):
        monkeypatch.setattr(exporting, "ladder", lambda notes, way=way: (way,))
        try:
            exported = export([run.folder], tmp_path / str(number), unlabelled=sure_texts)
        except ParityError as error:  # older versions multiply by blocks of 4 bits only
            assert "none can be had here" in str(error)
            assert tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 22)
        else:
            assert exported.quantisation == way.name


def test_what_the_gate_lets_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.003)
    monkeypatch.setattr("sentilora.export.gate.LABELS_CHANGED", 0.015)

    def verdict(accuracy: float, changed: float, difference: float = 0.1, validation: int = 1000) -> bool:
        return Verdict(validation, 0.9, accuracy, 2000, changed, difference).passes

    assert verdict(0.897, 0.015)
    assert not verdict(0.896, 0.015)
    assert not verdict(0.904, 0)
    assert not verdict(0.9, 0.016)
    assert not verdict(0.9, 0, float("nan"))
    assert verdict(0.89, 0, validation=100)
    assert not verdict(0.88, 0, validation=100)


def test_integers_are_close_to_what_they_stand_for() -> None:
    weight = np.random.default_rng(0).normal(size=(64, 7)).astype(np.float32)
    weight[:, 3] = 0
    for largest in (64, 127):
        integers, scale = per_output(weight, largest)
        assert np.abs(integers).max() <= largest
        assert np.abs(integers * scale - weight).max() <= np.abs(weight).max() / largest / 2 + 1e-6
    blocks, scales = per_block(weight)
    restored = (blocks.astype(np.float32) - 128) * scales.reshape(7, 2, 1)
    assert np.abs(restored.reshape(7, 64).T - weight).max() <= np.abs(weight).max() / 127 / 2 + 1e-6


def test_a_bundle_is_not_exported_or_replaced(bundle: Path, run: sentilora.Run, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a bundle already"):
        export([bundle], tmp_path / "again")
    with pytest.raises(OutputError, match="--overwrite"):
        export([run.folder], bundle)
    with pytest.raises(ModelError, match="called alike"):
        export([run.folder, run.adapter], tmp_path / "twice")


def test_a_full_queue_refuses_and_a_cancelled_job_frees_its_place() -> None:
    gate, begun = threading.Event(), threading.Event()

    def wait() -> str:
        begun.set()
        gate.wait(10)
        return "first"

    scheduler = Scheduler(workers=1, capacity=10)
    first = scheduler.submit(wait, 100)
    begun.wait(10)
    second = scheduler.submit(lambda: "second", 10)
    assert scheduler.queued == 10
    with pytest.raises(OverloadedError):
        scheduler.submit(lambda: "third", 1)
    assert second.cancel()
    assert scheduler.queued == 0
    fourth = scheduler.submit(lambda: "fourth", 1)
    fifth = scheduler.submit(lambda: 1 / 0, 1)
    gate.set()
    assert (first.result(10), fourth.result(10)) == ("first", "fourth")
    with pytest.raises(ZeroDivisionError):
        fifth.result(10)
    scheduler.close()
    assert scheduler.queued == 0


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 2),
        ("0::/", {"cpu.max": "max 100000"}, 64),
        ("0::/a.slice/b.service", {"a.slice/b.service/cpu.max": "300000 100000", "cpu.max": "max 100000"}, 3),
        ("0::/a.slice/b.service", {"a.slice/b.service/cpu.max": "max 100000", "a.slice/cpu.max": "50000 100000"}, 1),
        ("0::/a.slice", {"a.slice/cpu.max": "max 100000", "b.slice/cpu.max": "100000 100000"}, 64),
        ("0::/docker/seen/from/outside", {"cpu.max": "200000 100000"}, 2),
        ("0::/../../elsewhere", {"cpu.max": "200000 100000"}, 2),
        ("3:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ("3:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ("3:cpu:/a/b\n4:memory:/c", {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"}, 2),
        ("4:memory:/a", {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"}, 64),
        ("", {}, 64),
        (None, {"cpu.max": "200000 100000"}, 2),
    ],
)
def test_threads_follow_the_least_quota_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: Optional[str], files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    for name, content in files.items():
        (tmp_path / "sys" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "sys" / name).write_text(f"{content}\n", "ascii")
    if own is not None:
        (tmp_path / "own").write_text(f"{own}\n" if own else "", "ascii")
    assert available_cores(tmp_path / "sys", tmp_path / "own") == cores


def test_a_bundle_that_is_replaced_is_not_half_opened_anew(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    classifier = Bundle.open(copy, threads=2).classifier()
    answers = classifier(TEXTS)
    copy.rename(tmp_path / "old")
    shutil.copytree(bundle, copy)
    assert classifier(TEXTS) == answers  # by what is open
    with pytest.raises(ModelError, match=r"copy was replaced while it was in use: load it again"):
        classifier("a lone text, which both threads share")


def test_a_lone_text_has_the_same_bits_under_a_wide_adapter(run: sentilora.Run, tmp_path: Path) -> None:
    """ONNX Runtime adds up a narrow product of few rows in another order when threads share it."""
    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=100, dim=384, hidden_dim=384, n_layers=2, n_heads=4)
    model = DistilBertForSequenceClassification(config)
    graph = Graph(write_graph(adaptable_graph(encoder_of(model), FP32), tmp_path), threads=2)
    lora = LoraConfig(task_type="SEQ_CLS", r=16, target_modules=["q_lin", "k_lin", "v_lin"], init_lora_weights=False)
    adapted = TorchPredictor(get_peft_model(model, lora).eval(), Device("cpu"), 2)
    arrays = adapter_arrays(Classifier(adapted, run.classifier.encoder, SENTIMENT))
    predictor = OnnxPredictor(graph, graph.filled(arrays), labels=2)
    texts = [list(range(1, length)) for length in range(3, 60)]
    together = predictor.logits(texts)
    for text, expected in zip(texts, together):
        assert (predictor.logits([text])[0] == expected).all(), len(text)
        assert (predictor.submit(text).result() == expected).all(), len(text)
