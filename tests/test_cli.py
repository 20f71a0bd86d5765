"""The command line in real processes, as a person or a script uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Optional

import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest

import sentilora
from hub_server import COMMIT, hub_stand_in
from sentilora.config import load_config, recipe_names


def sentilora_command(
    *arguments: object, stdin: str = "", environment: Optional[dict[str, str]] = None, cwd: Optional[Path] = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sentilora", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        check=False,
        timeout=900,
    )


def test_predict_pipes_one_object_a_text(run: sentilora.Run) -> None:
    texts = ["A gorgeous film.", 'Zwei\nZeilen, "quoted"; naïve 👍', "👍"]
    result = sentilora_command("predict", "--model", run.folder, *texts)
    assert result.returncode == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == texts
    for answer, expected in zip(answers, run.classifier(texts)):
        assert answer["label"] == expected.label
        assert answer["p_positive"] == pytest.approx(expected.p_positive, abs=1e-5)
        assert answer["truncated"] is False
    assert [answer["readable"] for answer in answers] == [True, True, False]


def test_predict_reads_stdin_and_files(run: sentilora.Run, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("id,review\n1,first\n2,second\n", "utf-8")
    from_file = sentilora_command("predict", "--model", run.adapter, "--file", tmp_path / "texts.csv")
    from_stdin = sentilora_command("predict", "--model", run.adapter, stdin="first\nsecond\n")
    assert from_file.stdout == from_stdin.stdout != ""
    assert len(from_file.stdout.splitlines()) == 2
    assert "column with the texts: review" in from_file.stderr


def test_a_tilde_that_the_shell_left_is_the_home_folder(run: sentilora.Run, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    copied = sentilora_command("recipes", "best", "--output=~/mine.yaml", environment=home, cwd=tmp_path)
    assert copied.returncode == 0, copied.stderr
    (tmp_path / "a.csv").write_text("text\nSo good.\n", "utf-8")
    scored = sentilora_command(
        *("score", "a.csv", "--model", run.folder, "--output=~/b.csv"), environment=home, cwd=tmp_path
    )
    assert scored.returncode == 0, scored.stderr
    training = ("train", "--recipe=~/mine.yaml", "--base", run.config.base)
    known = sentilora_command(*training, "--data=~/a.csv", environment=home, cwd=tmp_path)
    assert "label" in known.stderr.splitlines()[-1]  # the recipe and the data were found
    found = {path.name for path in tmp_path.iterdir()}
    assert found >= {"mine.yaml", "a.csv", "b.csv"}
    assert "~" not in found
    nobody = sentilora_command(*training, "--data=~nobody-here/a.csv", environment=home, cwd=tmp_path)
    assert (nobody.returncode, "~nobody-here/a.csv" in nobody.stderr) == (2, True)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("given", ["stdin", "argument"])
def test_texts_that_are_not_utf8_are_one_line(run: sentilora.Run, locale: str, given: str) -> None:
    """As in a container, whose locale has Python hide such bytes."""
    command = [sys.executable, "-m", "sentilora", "predict", "--model", str(run.adapter)]
    command += ["caf\udce9"] if given == "argument" else []
    environment = {**os.environ, "LC_ALL": locale}
    result = subprocess.run(command, input=b"caf\xe9\n", capture_output=True, check=False, timeout=120, env=environment)
    assert result.returncode == 2, result.stderr
    assert b"UTF-8" in result.stderr.splitlines()[-1] or b"utf-8" in result.stderr.splitlines()[-1]
    assert result.stdout == b""


def test_evaluate_prints_one_object(run: sentilora.Run, tmp_path: Path) -> None:
    result = sentilora_command("evaluate", run.folder, "--json", "--logits", tmp_path / "logits.npy")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert {name: summary[name] for name in ("accuracy", "f1", "n")} == {
        "accuracy": run.metrics.accuracy,
        "f1": run.metrics.f1,
        "n": run.metrics.n,
    }
    assert (tmp_path / "logits.npy").stat().st_size > 8 * run.metrics.n
    table = sentilora_command("evaluate", run.folder, "--data", run.folder / "validation.parquet")
    assert "called positive" in table.stdout
    assert "truncated" in table.stdout


def test_train_merge_and_use(tmp_path: Path, tiny_base: Path, reviews_csv: Path) -> None:
    trained = sentilora_command(
        *("train", "--base", tiny_base, "--data", reviews_csv, "--epochs", 1, "--lora-rank", 2, "--max-length", 32),
        *("--lora-target-modules", "q_lin,v_lin", "--truncation", "head+tail"),
        cwd=tmp_path,
    )
    assert trained.returncode == 0, trained.stderr
    for said in ("no GPU found", "training: 96 texts", "truncated", "parameters trained", "epoch 1/1", "reloaded"):
        assert said in trained.stderr
    assert json.loads((tmp_path / "runs/latest/adapter/adapter_config.json").read_text("utf-8"))["r"] == 2
    again = sentilora_command("train", "--base", tiny_base, "--data", reviews_csv, "--epochs", 1, cwd=tmp_path)
    assert (again.returncode, "--overwrite" in again.stderr) == (2, True)

    merged = sentilora_command("merge", "runs/latest", cwd=tmp_path)
    assert merged.returncode == 0, merged.stderr
    answers = [
        json.loads(sentilora_command("predict", "--model", model, "so good", cwd=tmp_path).stdout)["p_positive"]
        for model in ("runs/latest", "saved_model")
    ]
    assert answers[0] == pytest.approx(answers[1], abs=1e-5)


@pytest.mark.slow
def test_the_quickstart_trains_proves_and_classifies(tmp_path: Path) -> None:
    result = sentilora_command("quickstart", "What a treat, I loved every minute.", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "training: 2,660 texts" in result.stderr
    differences = [float(line.rsplit(" ", 1)[1]) for line in result.stdout.splitlines() if "differ by at most" in line]
    assert len(differences) == 2
    assert differences[0] <= 1e-5
    assert differences[1] <= 1e-4
    for said in ("accuracy", "called positive", "What a treat", "sentilora predict --model runs/quickstart"):
        assert said in result.stdout
    summary = json.loads(sentilora_command("evaluate", "runs/quickstart", "--json", cwd=tmp_path).stdout)
    assert summary["n"] == 400
    assert summary["accuracy"] > 0.75
    assert {entry.name for entry in tmp_path.iterdir()} == {"runs"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "--model", "nothing", "x"), "error: no folder at nothing"),
        (("predict", "--model", "nothing", "--file", "a.csv", "x"), "error: give texts or --file, not both"),
        (("train", "--data", "nothing.csv", "--base", "embedded"), "error: no file at nothing.csv"),
        (("train", "--recipe", "nothing"), "error: no recipe and no readable file is called 'nothing'"),
        (("train", "--base", "nobody/nothing", "--data", "bundled"), "--base embedded"),
        (("train", "--base", "embedded"), "--data bundled"),
        (("train", "--epochs", "0"), "error: setting 'epochs': expected `int` >= 1"),
        (("train", "--data", "bundled", "--label-map", "3"), "error: setting 'label_map': '3' has no VALUE= before it"),
        (("train", "--base", "embedded", "--data", "bundled", "--label-map", "a=pos,b=neg"), "no labels to map"),
        (("train", "--epochs", "x"), "'x' is not a valid integer"),
        (("evaluate", "nothing"), "error: no folder at nothing"),
        (("merge", "nothing"), "error: no folder at nothing"),
        (("frobnicate",), "No such command"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = sentilora_command(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = sentilora_command("--debug", "predict", "--model", "nothing", "x", cwd=tmp_path)
    assert "Traceback" in result.stderr
    assert result.returncode == 2


def test_python_hears_what_the_command_line_does(tmp_path: Path) -> None:
    """Where a program sets up no logging; where it does, that decides."""
    (tmp_path / "a.csv").write_text("text;label\ngood;1\nbad;0\n", "utf-8")
    script = "import sentilora; sentilora.read_labelled('a.csv')"
    for before, heard in (("", True), ("import logging; logging.basicConfig(level=logging.ERROR); ", False)):
        result = subprocess.run(
            [sys.executable, "-c", before + script], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert (result.stderr == "a.csv: its cells are separated by semicolons\n") == heard


def test_data_in_the_place_of_a_configuration_is_pointed_out() -> None:
    with pytest.raises(TypeError, match=r"a TrainConfig, not a str: name the data, train\(data=\.\.\.\)"):
        sentilora.train("reviews.csv")  # type: ignore[arg-type]


def test_doctor_says_what_is_there_and_what_is_not() -> None:
    offline = sentilora_command("doctor")
    assert offline.returncode == 0, offline.stderr
    for said in ("sentilora", "torch", "cpu", "HF_HUB_OFFLINE is set", "embedded base", "intact"):
        assert said in offline.stdout
    nowhere = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    assert "not reachable at http://127.0.0.1:9" in sentilora_command("doctor", environment=nowhere).stdout
    for endpoint, shown in (
        ("hf-mirror.example", "hf-mirror.example"),
        ("http://me:secret@127.0.0.1:9", "127.0.0.1:9"),
    ):
        result = sentilora_command("doctor", environment={**nowhere, "HF_ENDPOINT": endpoint})
        assert (result.returncode, shown in result.stdout, "secret" in result.stdout) == (0, True, False)
    no_scheme = {**nowhere, "HF_ENDPOINT": "hf-mirror.example"}
    refused = sentilora_command("train", "--base", "some/thing", "--data", "bundled", environment=no_scheme)
    assert refused.returncode == 2
    assert "the Hub did not deliver 'some/thing'" in refused.stderr


def test_what_is_public_is_there_without_being_imported() -> None:
    script = (
        "import sentilora, sys; assert 'train' in dir(sentilora) and 'torch' not in sys.modules\n"
        "print(*(each.__name__ for each in (sentilora.errors.DataError, sentilora.export.export)))"
    )
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout == "DataError export\n"


def test_doctor_says_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libcudart.so.12: cannot open')", "utf-8")
    result = sentilora_command("doctor", environment={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 0, result.stderr
    assert "PyTorch cannot be imported" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (("evaluate", "RUN", "--report", "report.csv"), "--report report.csv: name a file that ends in .html"),
        (("insights", "--report", "jan.csv", "feb.csv"), "--report jan.csv: name a file that ends in .html"),
        (("evaluate", "RUN", "--logits", "held.csv"), "--logits held.csv: name a file that ends in .npy"),
        (("evaluate", "RUN", "--report", "nowhere/x.html"), "there is no folder nowhere; make it first"),
        (("suggest", "jan.csv", "-o", "nowhere/x.csv"), "there is no folder nowhere; make it first"),
        (("evaluate", "RUN", "--report", "folder.html"), "folder.html is a folder: name a file"),
        (("evaluate", "RUN", "--text-column", "nope"), "are of --data and --baseline"),
        (("recipes", "-o", "mine.yaml"), "which recipe is to be copied to mine.yaml? name one: best"),
        (("audit", "jan.csv", "--labels", "a,b"), "are of the model that --model names"),
    ],
)
def test_outputs_and_flags_are_looked_at_before_the_work(
    run: sentilora.Run, tmp_path: Path, arguments: tuple[str, ...], saying: str
) -> None:
    for name in ("jan.csv", "feb.csv", "held.csv"):
        (tmp_path / name).write_text("text,label\nfine,1\n", "utf-8")
    (tmp_path / "folder.html").mkdir()
    before = {path: path.read_text("utf-8") for path in tmp_path.glob("*.csv")}
    given = [str(run.folder) if each == "RUN" else each for each in arguments]
    result = sentilora_command(*given, cwd=tmp_path)
    assert result.returncode == 2
    assert saying in result.stderr
    assert {path: path.read_text("utf-8") for path in tmp_path.glob("*.csv")} == before


def test_recipes_are_listed_printed_and_copied(tmp_path: Path) -> None:
    listed = sentilora_command("recipes").stdout
    for name in recipe_names():
        assert name in listed.split()
    assert "The tutorials' setting: 1,000 IMDb reviews" in listed
    assert "base: embedded" in sentilora_command("recipes", "quickstart").stdout
    copied = sentilora_command("recipes", "imdb-small", "-o", "mine.yaml", cwd=tmp_path)
    assert copied.returncode == 0, copied.stderr
    assert load_config(str(tmp_path / "mine.yaml")) == load_config("imdb-small")
    inside = sentilora_command("recipes", "best", "-o", "mine.yaml/other.yaml", cwd=tmp_path)
    assert inside.returncode == 2
    assert inside.stderr == "error: cannot write mine.yaml/other.yaml: Not a directory\n"
    again = sentilora_command("recipes", "best", "-o", "mine.yaml", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (2, "error: mine.yaml exists already: choose another name\n")


def test_star_ratings_from_excel_to_an_adapter(tmp_path: Path, tiny_base: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.append(["Review Text", "Stars"])
    for n in range(40):
        workbook.active.append([f"film {n} was {('bad', 'meh', 'good')[n % 3]}", (1, 3, 5)[n % 3]])
    workbook.active.append(["👍👍👍", 5])
    workbook.active.append([None, 5])
    workbook.save(tmp_path / "stars.xlsx")
    stars = ("--data", "stars.xlsx", "--label-map", "1-2=negative,4-5=positive")
    trained = sentilora_command("train", "--base", tiny_base, *stars, "--epochs", 1, "-o", "run", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    record = json.loads((tmp_path / "run/metrics.json").read_text("utf-8"))
    for said in ("labels that the map leaves out (3)", "no text in column 'Review Text'"):
        assert said in record["split"]
        assert trained.stderr.count(said) == 1
    assert any("no word that the base knows" in record[part] for part in ("training", "validation"))
    assert "labels read as 1-2 = negative, 4-5 = positive" in record["notes"]
    assert record["split"].startswith("18.") or record["split"].startswith("2")
    measured = sentilora_command("evaluate", "run", *stars, "--json", cwd=tmp_path)
    assert json.loads(measured.stdout)["n"] == 28
    assert sentilora_command("evaluate", "run", "--data", "stars.xlsx", cwd=tmp_path).returncode == 2


def test_base_and_data_come_from_the_hub(tmp_path: Path, tiny_base: Path) -> None:
    """Everything by Hub ids: the default base and the IMDb reviews, then offline from the cache."""
    dataset = tmp_path / "imdb" / "plain_text" / "train"
    dataset.mkdir(parents=True)
    rows = {"text": [f"film {n} was {('bad', 'good')[n % 2]}" for n in range(60)], "label": [n % 2 for n in range(60)]}
    pa.parquet.write_table(pa.table(rows), dataset / "0000.parquet")
    repositories = {"models/distilbert-base-uncased": tiny_base, "datasets/stanfordnlp/imdb": tmp_path / "imdb"}
    with hub_stand_in(repositories) as hub:
        online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "cache")}
        trained = sentilora_command("train", "--epochs", 1, cwd=tmp_path, environment=online)
        assert trained.returncode == 0, trained.stderr
        assert f"reachable at {hub.url}" in sentilora_command("doctor", environment=online).stdout
        missing = sentilora_command("train", "--base", "no/such", "-o", "b", cwd=tmp_path, environment=online)
        assert missing.returncode == 2
        assert "'no/such' is neither a folder here nor a public repository" in missing.stderr
    manifest = json.loads((tmp_path / "runs/latest/adapter/sentilora.json").read_text("utf-8"))
    assert (manifest["base"]["id"], manifest["base"]["revision"]) == ("distilbert-base-uncased", COMMIT)
    config = json.loads((tmp_path / "runs/latest/adapter/adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] == "distilbert-base-uncased"

    gone = {**online, "HF_HUB_OFFLINE": "1"}
    cached = sentilora_command("predict", "--model", "runs/latest", "a good film", cwd=tmp_path, environment=gone)
    assert cached.returncode == 0, cached.stderr
    assert json.loads(cached.stdout)["label"] in ("negative", "positive")


def test_a_reader_that_stops_early_is_no_error(run: sentilora.Run, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("a fine film\n" * 3000, "utf-8")
    command = f"{sys.executable} -m sentilora predict --model {run.folder} --file {tmp_path}/lines.txt | head -n 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False, timeout=120
    )
    assert json.loads(result.stdout)["text"] == "a fine film"
    assert result.returncode == 0, result.stderr
    assert "error" not in result.stderr
