from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sentilora
from conftest import with_files_of_at_most
from sentilora.artifacts import MANIFEST, new_folder, open_model, refuse_existing, write_file, write_json
from sentilora.errors import ModelError, OutputError


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def write_half() -> None:
        with new_folder(target) as folder:
            (folder / "half").write_text("a", "utf-8")
            assert not target.exists()
            raise RuntimeError("the power fails")

    with pytest.raises(RuntimeError):
        write_half()
    assert list(tmp_path.iterdir()) == []
    with new_folder(target) as folder:
        (folder / "whole").write_text("a", "utf-8")
    assert [entry.name for entry in target.iterdir()] == ["whole"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_there_is_replaced_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "metrics.json").write_text('{"reload_difference": 0}', "utf-8")
    with pytest.raises(OutputError, match="--overwrite"), new_folder(tmp_path / "old"):
        pass
    assert (tmp_path / "old" / "metrics.json").exists()
    with new_folder(tmp_path / "old", overwrite=True) as folder:
        (folder / "new").write_text("a", "utf-8")
    assert [entry.name for entry in (tmp_path / "old").iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]


def test_a_failed_replacement_leaves_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "metrics.json").write_text('{"reload_difference": 0}', "utf-8")

    def fail() -> None:
        with new_folder(tmp_path / "old", overwrite=True):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "old" / "metrics.json").exists()


def test_what_is_not_ours_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "mine.csv").write_text("text,label\n", "utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "reviews")
    (tmp_path / "thesis/src").mkdir(parents=True)
    (tmp_path / "thesis/metrics.json").write_text('{"auc": 1}', "utf-8")  # as others call theirs too
    for target in ("reviews", "reviews/mine.csv", "link", "thesis"):
        with pytest.raises(OutputError, match="never replaced"), new_folder(tmp_path / target, overwrite=True):
            pass
    assert (tmp_path / "reviews" / "mine.csv").exists()


@pytest.mark.parametrize("size", [3_000, 30_000])
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(run: sentilora.Run, tmp_path: Path, size: int) -> None:
    """The weights of a merged model are written by safetensors, which has errors of its own."""
    command = [sys.executable, "-m", "sentilora", "merge", str(run.folder), "--output", "merged"]
    full = subprocess.run(
        command,
        cwd=tmp_path,
        preexec_fn=with_files_of_at_most(size),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert full.returncode == 2, full.stderr
    assert "cannot write" in full.stderr.splitlines()[-1]
    assert "make room and give the command again" in full.stderr
    assert "Traceback" not in full.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_mount_point_is_refused_before_anything_is_done() -> None:
    with pytest.raises(OutputError, match="/ is a mount point, which cannot be replaced: choose a folder in it"):
        refuse_existing(Path("/"), overwrite=True)


def test_what_has_its_name_outlasts_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, folders and their names are flushed to the disk: a folder after what happened in it."""
    flushed: list[tuple[str, list[str]]] = []

    def fsync(descriptor: int, real: Any = os.fsync) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        listed = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        flushed.append((path.name.rpartition(".tmp")[0] or path.name, listed))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_file(tmp_path / "record.json", b"{}")
    assert flushed[-1] == (tmp_path.name, ["record.json"])
    with new_folder(tmp_path / "above" / "made") as folder:
        assert flushed[-2:] == [(tmp_path.name, ["above", "record.json"]), ("above", [folder.name])]
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(b"x")
        flushed.clear()
    assert ("inner", ["file"]) in flushed
    assert ("file", []) in flushed
    assert flushed[-1] == ("above", ["made"])


def test_a_changed_file_is_found(run: sentilora.Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    weights = copy / "adapter" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors is damaged"):
        sentilora.Classifier.load(copy)


def test_the_readme_may_be_edited(run: sentilora.Run, tmp_path: Path) -> None:
    shutil.copytree(run.adapter, tmp_path / "adapter")
    (tmp_path / "adapter" / "README.md").write_text("# Our own words\n", "utf-8")
    assert open_model(tmp_path / "adapter").manifest is not None


def test_files_are_as_readable_as_the_user_has_it(run: sentilora.Run) -> None:
    modes = {entry.stat().st_mode & 0o666 for entry in run.folder.rglob("*") if entry.is_file()}
    assert modes == {run.folder.stat().st_mode & 0o666}


def test_a_missing_file_is_found(run: sentilora.Run, tmp_path: Path) -> None:
    shutil.copytree(run.adapter, tmp_path / "adapter")
    (tmp_path / "adapter" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        open_model(tmp_path / "adapter")


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "head.pkl"])
def test_a_pickle_is_refused(run: sentilora.Run, tmp_path: Path, name: str) -> None:
    shutil.copytree(run.adapter, tmp_path / "adapter")
    (tmp_path / "adapter" / name).write_bytes(b"cos\nsystem\n.")
    with pytest.raises(ModelError, match=f"{name} may be a pickle"):
        sentilora.Classifier.load(tmp_path / "adapter")


def test_a_manifest_cannot_name_files_elsewhere(run: sentilora.Run, tmp_path: Path) -> None:
    shutil.copytree(run.adapter, tmp_path / "adapter")
    manifest = json.loads((tmp_path / "adapter" / MANIFEST).read_text("utf-8"))
    manifest["files"]["../secret"] = "0" * 64
    write_json(tmp_path / "adapter" / MANIFEST, manifest)
    with pytest.raises(ModelError, match="outside its folder"):
        open_model(tmp_path / "adapter")


def test_a_manifest_of_a_newer_version_is_refused(run: sentilora.Run, tmp_path: Path) -> None:
    shutil.copytree(run.adapter, tmp_path / "adapter")
    manifest = json.loads((tmp_path / "adapter" / MANIFEST).read_text("utf-8"))
    write_json(tmp_path / "adapter" / MANIFEST, {**manifest, "format": 99})
    with pytest.raises(ModelError, match="update sentilora"):
        open_model(tmp_path / "adapter")


def test_what_is_no_model_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder at"):
        open_model(tmp_path / "nothing")
    with pytest.raises(ModelError, match="holds no model"):
        open_model(tmp_path)
