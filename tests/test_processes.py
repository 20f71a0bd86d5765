"""Several processes train as one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file
from transformers import DistilBertConfig

import sentilora


def launch(launcher: list[str], output: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *launcher, "-m", "sentilora", "train", "--output", *map(str, (output, *arguments))]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)


# Accelerate's launcher starts several processes on GPUs only; on CPUs that is PyTorch's, or MPI.
TWO = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = ["accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"]
ACCELERATE += ["--mixed_precision", "no", "--dynamo_backend", "no"]


@pytest.fixture(scope="module")
def calm_base(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """The tiny base without any dropout, which two processes draw differently from one."""
    folder = tmp_path_factory.mktemp("base") / "calm"
    folder.mkdir()
    for file in tiny_base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = DistilBertConfig.from_pretrained(folder)
    config.seq_classif_dropout = 0.0
    config.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("batching", ["packed", "padded"])
def test_two_processes_take_the_steps_of_one(tmp_path: Path, calm_base: Path, reviews_csv: Path, batching: str) -> None:
    settings = ("--base", calm_base, "--data", reviews_csv, "--epochs", 2, "--batch-size", 15, "--max-length", 32)
    settings += ("--lora-dropout", 0, "--precision", "fp32", "--batching", batching, "--class-weights", "1,2")
    two = launch(TWO, tmp_path / "two", *settings)
    assert two.returncode == 0, two.stderr
    assert two.stderr.count("training: 96 texts") == 1
    one = sentilora.train(**yaml.safe_load((tmp_path / "two/config.yaml").read_text("utf-8")), output=tmp_path / "one")
    record = json.loads((tmp_path / "two/metrics.json").read_text("utf-8"))
    assert (record["processes"], one.record.processes) == (2, 1)
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text("utf-8").splitlines()]
        for name in ("one", "two")
    ]
    for ours, theirs in zip(*logs):
        assert ours.keys() == theirs.keys()
        for name in {"loss", "grad_norm", "eval_loss", "eval_accuracy"} & set(ours):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4), name
    weights = [load_file(tmp_path / name / "adapter/adapter_model.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():
        assert np.linalg.norm(weights[1][name] - tensor) <= 1e-4 * np.linalg.norm(tensor), name


def test_a_users_mistake_ends_all_processes(tmp_path: Path, calm_base: Path, reviews_csv: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("mine", "utf-8")
    refused = launch(TWO, tmp_path / "run", "--base", calm_base, "--data", reviews_csv)
    assert refused.returncode != 0
    assert "exists already: choose another place" in refused.stderr


def test_accelerate_launches_it(tmp_path: Path, calm_base: Path, reviews_csv: Path) -> None:
    settings = ("--base", calm_base, "--data", reviews_csv, "--epochs", 1, "--max-length", 32)
    launched = launch(ACCELERATE, tmp_path / "run", *settings)
    assert launched.returncode == 0, launched.stderr
    assert json.loads((tmp_path / "run/metrics.json").read_text("utf-8"))["processes"] == 1
