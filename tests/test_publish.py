"""Publishing to the Hub and loading from it, against a stand-in of its HTTP API, in processes of their own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sentilora
from hub_upload_server import TOKEN, WritableStandIn, writable_hub
from sentilora.errors import HubError, ModelError
from sentilora.modeling.merging import merge
from test_cli import sentilora_command

TEXTS = ["A gorgeous, moving film.", "My two hours back, please."]

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WritableStandIn]:
    with writable_hub(tmp_path / "hub") as server:
        yield server


@pytest.fixture
def command(hub: WritableStandIn, tmp_path: Path) -> Command:
    """The command line, talking to the stand-in with a token that may write."""

    def run_it(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",  # which has a protocol, and a server, of its own
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": TOKEN,
            **changes,
        }
        return sentilora_command(*arguments, environment=environment, cwd=tmp_path)

    return run_it


@pytest.fixture(scope="module")
def merged(run: sentilora.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged") / "merged"
    merge(run.folder, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.name != ".gitattributes"}


def error_of(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2, result.stderr
    assert TOKEN not in result.stdout + result.stderr
    return result.stderr.splitlines()[-1]


def test_a_published_run_arrives_whole_and_loads_by_its_name(
    run: sentilora.Run, hub: WritableStandIn, command: Command
) -> None:
    published = command("publish", run.folder, "me/reviews", "--private", "--message", "A first try")
    assert published.returncode == 0, published.stderr
    assert published.stdout.rstrip().endswith(f"{hub.url}/me/reviews")
    assert TOKEN not in published.stdout + published.stderr
    assert "of this machine" in published.stderr  # the base of this adapter is a local folder
    assert contents(hub.branch("me/reviews")) == contents(run.adapter)
    assert hub.commits == ["A first try"]
    assert hub.private == {"me/reviews"}
    assert any(request.startswith("PUT /lfs/") for request in hub.requests)

    answered = command("predict", "--model", "me/reviews", *TEXTS)
    assert answered.returncode == 0, answered.stderr
    assert "me/reviews is taken from the Hub, commit" in answered.stderr
    answers = [json.loads(line)["p_positive"] for line in answered.stdout.splitlines()]
    assert answers == pytest.approx([each.p_positive for each in run.classifier(TEXTS)], abs=1e-5)

    again = command("publish", run.folder, "me/reviews")
    assert again.returncode == 0, again.stderr
    assert hub.commits[1] == "Publish an adapter with sentilora"


def test_a_bundle_takes_the_place_of_what_was_there(
    run: sentilora.Run, bundle: Path, hub: WritableStandIn, command: Command
) -> None:
    assert command("publish", run.adapter, "me/reviews").returncode == 0
    (hub.branch("me/reviews") / "notes.txt").write_text("somebody's own", "utf-8")
    published = command("publish", bundle, "me/reviews")
    assert published.returncode == 0, published.stderr
    assert "removed from the repository" in published.stderr
    left = contents(hub.branch("me/reviews"))
    assert left.pop("notes.txt") == b"somebody's own"
    assert left == contents(bundle)
    answered = command("predict", "--model", "me/reviews", TEXTS[0])
    assert answered.returncode == 0, answered.stderr
    expected = sentilora.Classifier.load(bundle)(TEXTS[0])
    assert json.loads(answered.stdout)["p_positive"] == expected.p_positive


def test_what_is_not_of_the_model_stays(run: sentilora.Run, hub: WritableStandIn, command: Command) -> None:
    assert command("publish", run.folder, "me/reviews").returncode == 0
    there = hub.branch("me/reviews")
    theirs = ("data/labels.json", "gguf/old.onnx", "notes.json", "adapters/one/notes.json", "README.txt")
    for name in (*theirs, "adapters/one/adapter.safetensors", "model-00001-of-00002.safetensors"):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text("{}", "utf-8")
    again = command("publish", run.folder, "me/reviews")
    assert again.returncode == 0, again.stderr
    assert set(contents(there)) == {*contents(run.adapter), *theirs}


def test_what_is_public_is_not_published_to_as_private(
    run: sentilora.Run, hub: WritableStandIn, command: Command
) -> None:
    assert command("publish", run.folder, "me/reviews").returncode == 0
    assert "'me/reviews' is public, and nothing was published" in error_of(
        command("publish", run.folder, "me/reviews", "--private")
    )
    assert len(hub.commits) == 1


def test_a_merged_model_may_go_to_a_branch(merged: Path, hub: WritableStandIn, command: Command) -> None:
    published = command("publish", merged, "me/reviews", "--revision", "next")
    assert published.returncode == 0, published.stderr
    assert published.stdout.rstrip().endswith("/me/reviews/tree/next")
    assert contents(hub.branch("me/reviews", "next")) == contents(merged)
    assert contents(hub.branch("me/reviews")) == {}
    answered = command("predict", "--model", "me/reviews@next", TEXTS[0])
    assert answered.returncode == 0, answered.stderr
    expected = sentilora.Classifier.load(merged)(TEXTS[0])
    assert json.loads(answered.stdout)["p_positive"] == pytest.approx(expected.p_positive, abs=1e-5)


def test_refusals_are_one_line(run: sentilora.Run, hub: WritableStandIn, command: Command) -> None:
    assert "log in with `hf auth login`, or set HF_TOKEN" in error_of(
        command("publish", run.folder, "me/reviews", HF_TOKEN="hf_another")
    )
    hub.refusals = {"/repos/create": 403}
    assert "your token may not write there" in error_of(command("publish", run.folder, "them/reviews"))
    for status, said in ((404, "no such repository"), (409, "at the same time"), (400, "The stand-in refuses this")):
        hub.refusals = {"/commit/": status}
        assert said in error_of(command("publish", run.folder, "me/reviews"))
    assert contents(hub.branch("me/reviews")) == {}
    offline = command("publish", run.folder, "me/reviews", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE forbids" in error_of(offline)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert "the Hub does not answer" in error_of(command("publish", run.folder, "me/reviews", HF_ENDPOINT=nobody))


def test_only_what_is_ours_and_whole_is_published(run: sentilora.Run, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(run.adapter, folder)
    with pytest.raises(HubError, match="write owner/name"):
        sentilora.publish(folder, "reviews")
    with pytest.raises(ModelError, match="no folder at"):
        sentilora.publish(tmp_path / "none", "me/reviews")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "optimizer.pt").write_bytes(b"")
    with pytest.raises(ModelError, match=r"optimizer\.pt may be a pickle"):
        sentilora.publish(folder, "me/reviews")
    (folder / "deeper" / "optimizer.pt").unlink()
    with (folder / "tokenizer.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match="is damaged"):
        sentilora.publish(folder, "me/reviews")
    (folder / "sentilora.json").unlink()
    with pytest.raises(ModelError, match="only what sentilora made"):
        sentilora.publish(folder, "me/reviews")


def test_files_that_nobody_sealed_stay_here(
    run: sentilora.Run, tmp_path: Path, hub: WritableStandIn, command: Command
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(run.adapter, folder)
    (folder / "customers.csv").write_text("private", "utf-8")
    published = command("publish", folder, "me/reviews")
    assert published.returncode == 0, published.stderr
    assert "left out, as sentilora.json does not know them: customers.csv" in published.stderr
    assert "customers.csv" not in contents(hub.branch("me/reviews"))


def test_a_name_that_is_nowhere_is_one_line(command: Command) -> None:
    line = error_of(command("predict", "--model", "runs/mispelt", "text"))
    assert "no folder at runs/mispelt" in line
    assert "here or on the Hub" in line
