"""A training that is killed, stopped or out of disk, in real processes."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

import sentilora
from sentilora.training.sampling import EpochSampler

EPOCHS, STEPS_AN_EPOCH = 40, 6
ADAPTER = "adapter/adapter_model.safetensors"


def command(base: Path, data: Path, *more: object) -> list[str]:
    settings = ("--base", base, "--data", data, "--epochs", EPOCHS, "--max-length", 32, "--checkpoint-steps", 4)
    return [sys.executable, "-m", "sentilora", "train", *map(str, settings), "--output", "run", *map(str, more)]


def interrupt(arguments: list[str], cwd: Path, number: int, after_step: int) -> subprocess.CompletedProcess[str]:
    """Start a training and send it a signal once it has written a checkpoint at or after this step."""
    process = subprocess.Popen(arguments, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not any(int(path.name[-6:]) >= after_step for path in cwd.glob("run.unfinished/checkpoints/step-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def finish(arguments: list[str], cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False, timeout=300, **more)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, reviews_csv: Path) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = finish(command(tiny_base, reviews_csv), folder)
    assert result.returncode == 0, result.stderr
    return folder / "run"


def test_killed_twice_it_ends_where_an_uninterrupted_training_ends(
    tmp_path: Path, tiny_base: Path, reviews_csv: Path, uninterrupted: Path
) -> None:
    arguments = command(tiny_base, reviews_csv)
    for step in (10, 90):
        killed = interrupt(arguments, tmp_path, signal.SIGKILL, step)
        assert killed.returncode == -signal.SIGKILL
        assert not (tmp_path / "run").exists()
    finished = finish(arguments, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "resumed from run.unfinished/checkpoints/step-" in finished.stderr
    assert (tmp_path / "run" / ADAPTER).read_bytes() == (uninterrupted / ADAPTER).read_bytes()
    ours, theirs = (json.loads((run / "metrics.json").read_text("utf-8")) for run in (tmp_path / "run", uninterrupted))
    assert ours["epochs"] == theirs["epochs"]
    assert ours["scores"] == theirs["scores"]
    assert any(note.startswith("resumed from") for note in ours["notes"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_a_usable_checkpoint_and_goes_on(
    tmp_path: Path, tiny_base: Path, reviews_csv: Path, uninterrupted: Path, number: int
) -> None:
    arguments = command(tiny_base, reviews_csv)
    stopped = interrupt(arguments, tmp_path, number, 7)
    assert stopped.returncode == 130, stopped.stderr
    assert "give the same command again to go on from there" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    checkpoint = max((tmp_path / "run.unfinished/checkpoints").iterdir())
    assert str(checkpoint.relative_to(tmp_path)) in stopped.stderr
    answer = sentilora.Classifier.load(checkpoint)("A fine film.")
    assert answer.label in ("negative", "positive")
    assert finish(arguments, tmp_path).returncode == 0
    assert (tmp_path / "run" / ADAPTER).read_bytes() == (uninterrupted / ADAPTER).read_bytes()


def test_changed_settings_or_data_do_not_go_on(tmp_path: Path, tiny_base: Path, reviews_csv: Path) -> None:
    data = tmp_path / "reviews.csv"
    data.write_bytes(reviews_csv.read_bytes())
    interrupt(command(tiny_base, data), tmp_path, signal.SIGKILL, 4)
    changed = finish(command(tiny_base, data, "--seed", 5, "--lora-rank", 2), tmp_path)
    assert changed.returncode == 2
    assert "holds a training begun with other settings (lora, seed): give the same to go on" in changed.stderr
    data.write_text(data.read_text("utf-8").replace("neg", "pos", 1), "utf-8")
    changed = finish(command(tiny_base, data), tmp_path)
    assert changed.returncode == 2
    assert "cannot go on: the data have changed" in changed.stderr
    anew = finish(command(tiny_base, data, "--overwrite"), tmp_path)
    assert anew.returncode == 0, anew.stderr
    assert "resumed" not in anew.stderr


def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path, tiny_base: Path, reviews_csv: Path) -> None:
    interrupt(command(tiny_base, reviews_csv), tmp_path, signal.SIGKILL, 4)
    tensors = max((tmp_path / "run.unfinished/checkpoints").iterdir()) / "training.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"\x7f")
    result = finish(command(tiny_base, reviews_csv), tmp_path)
    assert result.returncode == 2
    assert "training.safetensors is damaged" in result.stderr


def test_two_trainings_do_not_write_into_one_folder(tmp_path: Path, tiny_base: Path, reviews_csv: Path) -> None:
    first = subprocess.Popen(command(tiny_base, reviews_csv, "--epochs", 1000), cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("run.unfinished/checkpoints/step-*")):
            assert first.poll() is None
            time.sleep(0.05)
        second = finish(command(tiny_base, reviews_csv, "--epochs", 1000), tmp_path)
    finally:
        first.kill()
        first.wait()
    assert second.returncode == 2
    assert "another process is training into" in second.stderr


def with_files_of_at_most(size: int) -> Callable[[], None]:
    """What a full disk does to a process: writing fails with an error of the operating system."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [3_000, 30_000])
def test_a_full_disk_is_said_in_one_line(tmp_path: Path, tiny_base: Path, reviews_csv: Path, size: int) -> None:
    full = finish(command(tiny_base, reviews_csv), tmp_path, preexec_fn=with_files_of_at_most(size))
    assert full.returncode == 2, full.stderr
    assert "error: cannot write" in full.stderr
    assert "File too large" in full.stderr
    assert "Traceback" not in full.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_training_killed_after_its_last_step_only_ends(tmp_path: Path, run: sentilora.Run) -> None:
    """All steps done, nothing validated or saved: the next call validates, saves, and is done."""
    config = msgspec.structs.replace(run.config, epochs=1)
    whole = sentilora.train(config, output=tmp_path / "whole")
    last = tmp_path / "whole/checkpoints"
    unfinished = tmp_path / "killed.unfinished"
    unfinished.mkdir()
    last.rename(unfinished / "checkpoints")
    (unfinished / "adapter").mkdir()  # and cut short again while it was saved
    (unfinished / "config.yaml").write_text((tmp_path / "whole/config.yaml").read_text("utf-8"), "utf-8")
    killed = sentilora.train(config, output=tmp_path / "killed")
    assert (killed.folder / ADAPTER).read_bytes() == (whole.folder / ADAPTER).read_bytes()
    assert killed.record.epochs == whole.record.epochs
    assert np.array_equal(killed.validation_logits, whole.validation_logits)


def test_checkpoints_hold_only_what_trains(run: sentilora.Run) -> None:
    (checkpoint,) = (run.folder / "checkpoints").glob("step-000012")
    tensors = load_file(checkpoint / "training.safetensors")
    moments = sum(tensor.size for name, tensor in tensors.items() if "exp_avg" in name)
    assert moments == 2 * run.record.trained_parameters
    assert {path.suffix for path in checkpoint.iterdir()} == {".json", ".safetensors", ".md"}


def test_a_thread_may_train(tmp_path: Path, run: sentilora.Run) -> None:
    """Only the main thread can listen for Ctrl-C; a web application or a notebook trains in others."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(sentilora.train, run.config, output=tmp_path / "run").result()
    assert np.array_equal(again.validation_logits, run.validation_logits)


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=300),
    batch=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    grouped=st.booleans(),
)
def test_an_epoch_takes_every_text_once_in_an_order_of_its_own(
    lengths: list[int], batch: int, seed: int, grouped: bool
) -> None:
    orders = []
    for epoch in (0, 1, 0):
        orders.append(list(EpochSampler(lengths, batch, seed, lambda epoch=epoch: epoch, grouped)))
        assert sorted(orders[-1]) == list(range(len(lengths)))
    assert orders[0] == orders[2]
    if not grouped and len(lengths) > 20:
        assert orders[0] != orders[1]


def test_grouped_batches_hold_texts_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 500, 4000)

    def padding(grouped: bool) -> float:
        order = list(EpochSampler(lengths.tolist(), 16, 0, lambda: 0, grouped))
        batches = lengths[order].reshape(-1, 16)
        return float(1 - batches.sum() / (batches.max(axis=1) * 16).sum())

    assert padding(grouped=True) < 0.05
    assert padding(grouped=False) > 0.3
