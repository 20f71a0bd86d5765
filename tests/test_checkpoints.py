"""A training that is killed, stopped or out of disk, in real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

import sentilora
from conftest import with_files_of_at_most
from sentilora.artifacts import Manifest, write_manifest
from sentilora.errors import ModelError, OutputError
from sentilora.modeling import devices
from sentilora.modeling.devices import Device
from sentilora.modeling.dropouts import drawn_seeds
from sentilora.notes import Notes
from sentilora.training.checkpoints import Checkpoints, Conditions
from sentilora.training.preparation import prepare
from sentilora.training.processes import Processes
from sentilora.training.sampling import EpochSampler
from sentilora.training.trainer import LoraTrainer, build_trainer

ALONE = Processes(0, 1, "cpu")
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


def logged(run: Path) -> list[dict[str, float]]:
    """The steps and validations in a run's log; its line of times is left out."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    return [line for line in lines if "train_runtime" not in line]


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
    assert logged(tmp_path / "run") == logged(uninterrupted)
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
    assert sum(sentilora.Classifier.load(checkpoint)("A fine film.").probabilities) == pytest.approx(1)
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
    assert "to go on from the one before it, or pass --overwrite to begin anew" in result.stderr


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


@pytest.mark.parametrize("size", [3_000, 30_000])
def test_a_full_disk_is_said_in_one_line(tmp_path: Path, tiny_base: Path, reviews_csv: Path, size: int) -> None:
    full = finish(command(tiny_base, reviews_csv), tmp_path, preexec_fn=with_files_of_at_most(size))
    assert full.returncode == 2, full.stderr
    assert "error: cannot write" in full.stderr
    assert "File too large" in full.stderr
    assert "Traceback" not in full.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_another_version_began_is_begun_anew_on_request_only(
    tmp_path: Path, tiny_base: Path, reviews_csv: Path
) -> None:
    assert interrupt(command(tiny_base, reviews_csv), tmp_path, signal.SIGINT, 7).returncode == 130
    with (tmp_path / "run.unfinished/config.yaml").open("a", encoding="utf-8") as file:
        file.write("of_the_future: 1\n")
    refused = finish(command(tiny_base, reviews_csv), tmp_path)
    assert refused.returncode == 2
    assert "begun by another version (unknown setting 'of_the_future'" in refused.stderr
    assert "--overwrite to begin anew" in refused.stderr
    anew = finish(command(tiny_base, reviews_csv, "--overwrite"), tmp_path)
    assert anew.returncode == 0, anew.stderr
    assert "resumed" not in anew.stderr


def test_the_number_of_cores_does_not_change_what_is_dropped(tmp_path: Path, run: sentilora.Run) -> None:
    config = msgspec.structs.replace(run.config, base_dropout=0.2, attention_dropout=0.2)
    cores = torch.get_num_threads()
    logits = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            logits.append(sentilora.train(config, output=tmp_path / str(number)).validation_logits)
    finally:
        torch.set_num_threads(cores)
    assert np.abs(logits[0] - logits[1]).max() < 1e-3


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
    # The validation was logged, which the checkpoint before it does not know, and the disk was full then.
    (unfinished / "log.jsonl").write_text(
        (tmp_path / "whole/log.jsonl").read_text("utf-8") + '{"step": 6, "ep', "utf-8"
    )
    (unfinished / "checkpoints/.step-000099.0123abcd.tmp").mkdir()
    (unfinished / ".metrics.json.1.tmp").touch()
    killed = sentilora.train(config, output=tmp_path / "killed")
    assert (killed.folder / ADAPTER).read_bytes() == (whole.folder / ADAPTER).read_bytes()
    assert killed.record.epochs == whole.record.epochs
    assert logged(killed.folder) == logged(whole.folder)
    assert not list(killed.folder.rglob(".*"))
    assert np.array_equal(killed.validation_logits, whole.validation_logits)


def test_what_auto_settles_otherwise_does_not_go_on(
    tmp_path: Path, run: sentilora.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun on a machine without bf16, taken up on one that has it."""
    config = msgspec.structs.replace(run.config, precision="auto", epochs=1)
    unfinished = tmp_path / "run.unfinished"
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: False)
    sentilora.train(config, output=tmp_path / "run").folder.rename(unfinished)
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: True)
    refused = "it was begun in fp32, packed, by 1 process, and would go on in bf16, packed, by 1 process; choose"
    with pytest.raises(OutputError, match=refused):
        sentilora.train(config, output=tmp_path / "run")
    (checkpoint,) = (unfinished / "checkpoints").glob("step-*")
    progress = json.loads((checkpoint / "training.json").read_text("utf-8"))
    del progress["conditions"]  # as an earlier version wrote it
    (checkpoint / "training.json").write_text(json.dumps(progress), "utf-8")
    write_manifest(checkpoint, msgspec.json.decode((checkpoint / "sentilora.json").read_bytes(), type=Manifest))
    with pytest.raises(ModelError, match=r"is of another version .*: pass --overwrite to begin anew"):
        sentilora.train(config, output=tmp_path / "run")
    anew = sentilora.train(config, output=tmp_path / "run", overwrite=True)
    assert anew.record.precision == "bf16"


def test_the_loss_scale_of_fp16_goes_on(tmp_path: Path, run: sentilora.Run) -> None:
    """With a scaler on the CPU, as fp16 itself trains on GPUs only."""
    (checkpoints, ours), (_, again) = (trainer_of(run, tmp_path) for _ in range(2))
    ours.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**9)
    again.accelerator.scaler = torch.amp.GradScaler("cpu")
    for trainer in (ours, again):
        trainer.create_scheduler(12, trainer.optimizer)
    ours._save_checkpoint(None, None)
    again._load_optimizer_and_scheduler(str(checkpoints.newest()))
    assert again.accelerator.scaler.state_dict() == ours.accelerator.scaler.state_dict()
    assert again.accelerator.scaler.get_scale() == 2.0**9


def test_each_process_draws_dropout_of_its_own(tmp_path: Path, run: sentilora.Run) -> None:
    def drawn(rank: int) -> list[int]:
        trainer_of(run, tmp_path, Processes(rank, 2, "cpu"))
        return drawn_seeds(5)

    assert drawn(0) != drawn(1)
    assert drawn(0) == drawn(0)


def trainer_of(run: sentilora.Run, folder: Path, processes: Processes = ALONE) -> tuple[Checkpoints, LoraTrainer]:
    """A Trainer for the same training, before its first step."""
    prepared = prepare(run.config, run.config.data, None, Device("cpu"), Notes())
    conditions = Conditions(precision=prepared.precision, batching=prepared.batching, processes=processes.count)
    known = (prepared.classifier, prepared.base, prepared.manifest, prepared.fingerprint)
    checkpoints = Checkpoints(folder / "checkpoints", *known, conditions, processes)
    return checkpoints, build_trainer(prepared, run.config, checkpoints)


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
