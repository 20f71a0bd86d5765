"""Scoring: where inputs and outputs may lie, which of a bundle's adapters answers, and what it may leave open."""

from __future__ import annotations

import csv
import functools
import gzip
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification

import sentilora
from sentilora.errors import ConfigError, DataError, ModelError, OutputError
from sentilora.export import export
from sentilora.scoring import gather, score
from sentilora.scoring.rows import RowScorer

TEXTS = ["A warm, funny film", "Dull and far too long", "The lamp broke on day two", "Ein schöner Abend"]


def write_texts(path: Path, texts: list[str] = TEXTS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    return path


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of rows."""
    (tmp_path / "in").mkdir()
    write_texts(tmp_path / "in" / "a.csv", [*TEXTS, " "])
    write_texts(tmp_path / "in" / "b.csv", TEXTS[:2])
    return tmp_path / "in"


@pytest.fixture
def web(folder: Path) -> Iterator[str]:
    """The folder, served over HTTP."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def shared(run: sentilora.Run, sure_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two adapters: the run's, and one with labels of its own."""
    torch.manual_seed(3)
    names = {0: "bad", 1: "fair", 2: "good"}
    model = AutoModelForSequenceClassification.from_pretrained(run.config.base, num_labels=3, id2label=names)
    config = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_lin", "lin2"], init_lora_weights=False)
    other = tmp_path_factory.mktemp("other") / "other"
    get_peft_model(model, config).save_pretrained(other)
    model.config.save_pretrained(other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.2)
        patch.setattr("sentilora.export.gate.LABELS_CHANGED", 0.2)
        return export([run.folder, other], tmp_path_factory.mktemp("bundles") / "two", unlabelled=sure_texts).folder


def test_a_folder_may_hold_what_scoring_writes_there(
    folder: Path, bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    score(folder, tmp_path / "beside.csv", model=bundle)
    expected = (tmp_path / "beside.csv").read_bytes()
    output = folder / "scored.csv"
    for again in (False, True):  # the second time with output and rejects of the first beside the inputs
        assert score(folder, output, model=bundle, overwrite=again).rows == 7
        assert output.read_bytes() == expected
    assert (folder / "scored.csv.rejects.jsonl").exists()
    with caplog.at_level("INFO"):
        assert score(f"{folder}/*", folder / "other.jsonl", model=bundle, overwrite=True).rows == 13
    assert "scored.csv.rejects.jsonl was written by scoring, and is no input" in caplog.text
    output.unlink()
    (folder / "other.jsonl").unlink()
    shards = [score(folder, output, model=bundle, chunk_rows=2, shard=f"{number}/2").output for number in (1, 2)]
    gather(shards, output, overwrite=True)  # the rejects of before are there
    assert output.read_bytes() == expected
    assert score(f"file://{folder}", f"file://{output}", model=bundle, overwrite=True).rows == 7
    assert output.read_bytes() == expected
    with pytest.raises(ConfigError, match="is an input"):
        score([folder / "a.csv", output], output, model=bundle, overwrite=True)


def test_parts_of_a_data_set_of_the_hub_are_inputs(bundle: Path, tmp_path: Path) -> None:
    """Their names are those of our shards, of which the records tell them."""
    for name in ("test-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002"):
        pyarrow.parquet.write_table(pa.table({"text": TEXTS}), tmp_path / f"{name}.parquet")
    assert score(tmp_path, tmp_path / "train.parquet", model=bundle).rows == 12
    score(f"{tmp_path}/train-*", tmp_path / "train.parquet", model=bundle, shard="1/2", overwrite=True)
    assert score(tmp_path, tmp_path / "train.parquet", model=bundle, overwrite=True).rows == 12


def test_an_input_is_no_output_however_it_is_named(bundle: Path, tmp_path: Path) -> None:
    for name, output, options in (
        ("x-1-of-2.csv", str(tmp_path / "x.csv"), {"shard": "1/2"}),
        ("in.csv", f"file://{tmp_path}/in.csv", {}),
    ):
        path = write_texts(tmp_path / name)
        before = path.read_bytes()
        with pytest.raises(ConfigError, match="is an input: name another output"):
            score(path, output, model=bundle, overwrite=True, **options)
        assert path.read_bytes() == before


def test_an_output_that_is_a_link_is_refused(folder: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("precious", "utf-8")
    for link, target in (("link.csv", "there.csv"), ("dangling.csv", "nowhere.csv")):
        (tmp_path / link).symlink_to(tmp_path / target)
        with pytest.raises(OutputError, match=rf"{link} is a link, and is not written through: name the file itself"):
            score(folder, tmp_path / link, model=bundle, overwrite=True)
    shard = score(folder, tmp_path / "s.csv", model=bundle, shard="1/1").output
    with pytest.raises(OutputError, match=r"link.csv is a link"):
        gather([shard], tmp_path / "link.csv", overwrite=True)
    assert (tmp_path / "there.csv").read_text("utf-8") == "precious"


def test_outputs_may_lie_in_the_models_folder(folder: Path, bundle: Path, tmp_path: Path) -> None:
    model = shutil.copytree(bundle, tmp_path / "model")
    output = model / "scored.csv"
    shards = [score(folder, output, model=model, chunk_rows=2, shard=f"{number}/2").output for number in (1, 2)]
    gather(shards, output)
    score(folder, tmp_path / "beside.csv", model=bundle)
    assert output.read_bytes() == (tmp_path / "beside.csv").read_bytes()


def test_a_file_that_comes_meanwhile_is_kept(
    folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "scored.csv"

    def scored(scorer: RowScorer, *chunk: Any, real: Any = RowScorer.__call__) -> Any:
        output.write_text("precious", "utf-8")
        return real(scorer, *chunk)

    monkeypatch.setattr(RowScorer, "__call__", scored)
    with pytest.raises(OutputError, match="exists already"):
        score(folder, output, model=bundle)
    assert output.read_text("utf-8") == "precious"
    monkeypatch.undo()
    output.unlink()
    assert score(folder, output, model=bundle).resumed == 7


@pytest.mark.parametrize("name", ["\u0130stanbul.csv", "a.csv.csv", "A.CSV"])
def test_shards_are_named_after_any_name(folder: Path, bundle: Path, tmp_path: Path, name: str) -> None:
    output = score(folder, tmp_path / name, model=bundle, shard="1/2").output
    stem, ending = name[:-4], name[-4:]
    assert Path(output).name == f"{stem}-1-of-2{ending}"


def test_names_that_no_record_can_hold_are_one_line(bundle: Path, tmp_path: Path) -> None:
    strange = tmp_path / os.fsdecode(b"caf\xe9.csv")
    try:
        write_texts(strange)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    with pytest.raises(DataError, match=r"caf\\udce9\.csv' has a name that is not UTF-8"):
        score(tmp_path, tmp_path / "out.csv", model=bundle)
    write_texts(tmp_path / "in.csv")
    long = tmp_path / f"{'x' * 250}.csv"
    shard = score(tmp_path / "in.csv", tmp_path / "s.csv", model=bundle, shard="1/1").output
    for write in (lambda: score(tmp_path / "in.csv", long, model=bundle), lambda: gather([shard], long)):
        with pytest.raises(OutputError, match=r"cannot write .*: File name too long"):
            write()


def test_the_column_that_is_read_is_told(bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "two.csv"
    path.write_text("Title,Review,Comment\na,fine,poor\n", "utf-8")
    with caplog.at_level("INFO"):
        score(path, tmp_path / "out.csv", model=bundle)
    assert "column with the texts: Review" in caplog.text


def test_files_of_a_web_server(web: str, folder: Path, bundle: Path, tmp_path: Path) -> None:
    assert score([f"{web}/a.csv", f"{web}/b.csv"], tmp_path / "web.csv", model=bundle, chunk_rows=2).rows == 7
    score(folder, tmp_path / "local.csv", model=bundle, chunk_rows=2)
    assert (tmp_path / "web.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    with pytest.raises(DataError, match=r"absent\.csv cannot be reached"):
        score(f"{web}/absent.csv", tmp_path / "x.csv", model=bundle)


def test_a_remote_output_with_its_rejects(folder: Path, bundle: Path, tmp_path: Path) -> None:
    result = score(folder, "memory://places/all.jsonl", model=bundle)
    assert (result.scored, result.rejected) == (6, 1)
    score(folder, tmp_path / "all.jsonl", model=bundle)
    for suffix in ("", ".rejects.jsonl"):
        with fsspec.open(f"memory://places/all.jsonl{suffix}", "rb") as file:
            assert file.read() == Path(f"{tmp_path / 'all.jsonl'}{suffix}").read_bytes()


def test_an_upload_that_fails_is_made_up_for(
    folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no credentials")

    monkeypatch.setenv("SENTILORA_CACHE", str(tmp_path / "cache"))
    url, chosen = "memory://failing/all.csv", {"model": bundle, "chunk_rows": 2}
    with monkeypatch.context() as patch, caplog.at_level("INFO"):
        patch.setattr(fsspec.get_filesystem_class("memory"), "put_file", refuse)
        with pytest.raises(DataError, match=r"all\.csv cannot be reached: no credentials"):
            score(folder, url, **chosen)
    assert "all rows are done, and kept as joined and joined.rejects in" in caplog.text
    assert [path.read_bytes().count(b"\n") for path in sorted(tmp_path.glob("cache/*/*/joined*"))] == [7, 1]
    assert score(folder, url, **chosen).resumed == 7
    assert not list(tmp_path.glob("cache/outputs/*"))
    score(folder, tmp_path / "all.csv", **chosen)
    with fsspec.open(url, "rb") as file:
        assert file.read() == (tmp_path / "all.csv").read_bytes()
    assert fsspec.filesystem("memory").exists(f"{url}.rejects.jsonl")
    score(folder / "b.csv", url, overwrite=True, **chosen)  # which has no rejects
    assert not fsspec.filesystem("memory").exists(f"{url}.rejects.jsonl")


def test_what_scoring_wrote_is_known_however_it_is_spelt(folder: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    score(folder, folder / "scored.csv", model=bundle, shard="1/2", chunk_rows=2)
    for spelt in (tmp_path / "in" / ".." / "in" / "scored.csv", tmp_path / "link" / "scored.csv"):
        assert score(folder, spelt, model=bundle, overwrite=True).rows == 7


def test_gathering_is_local(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"all-1-of-2\.csv is remote: copy it here"):
        gather(["s3://bucket/all-1-of-2.csv"], tmp_path / "all.csv")


def test_compressed_parquet_and_a_workbook(bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = write_texts(tmp_path / "plain.csv")
    score(plain, tmp_path / "plain-scored.csv", model=bundle)
    pyarrow.parquet.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    (tmp_path / "in.parquet.gz").write_bytes(gzip.compress((tmp_path / "in.parquet").read_bytes()))
    workbook = openpyxl.Workbook()
    for row in [["text"], *([text] for text in TEXTS)]:
        workbook.active.append(row)
    workbook.save(tmp_path / "in.xlsx")
    with caplog.at_level("INFO"):
        for name in ("in.parquet.gz", "in.xlsx"):
            score(tmp_path / name, tmp_path / "out.csv", model=bundle, chunk_rows=3, overwrite=True)
            assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "plain-scored.csv").read_bytes()
    assert "in.xlsx is read whole" in caplog.text
    assert "in.parquet.gz is read whole" not in caplog.text


def test_one_of_several_adapters(run: sentilora.Run, shared: Path, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "in.csv")
    with pytest.raises(ModelError, match="name one of other, tiny with --adapter"):
        score(source, tmp_path / "out.csv", model=shared)
    for adapter in ("other", "tiny"):
        output = tmp_path / f"{adapter}.csv"
        score(source, output, model=shared, adapter=adapter)
        expected = sentilora.Classifier.load(shared, adapter=adapter)(TEXTS)
        for row, prediction in zip(read_rows(output), expected):
            assert (row["sentiment"], float(row["confidence"])) == (prediction.label, prediction.confidence)
            assert row["p_positive"] == ("" if adapter == "other" else str(prediction.p_positive))
    assert {row["sentiment"] for row in read_rows(tmp_path / "other.csv")} <= {"bad", "fair", "good"}


def test_what_is_too_close_to_call_is_uncertain(run: sentilora.Run, bundle: Path, tmp_path: Path) -> None:
    point = max(run.classifier.abstention, key=lambda point: point.precision)
    expected = sentilora.Classifier.load(bundle)(TEXTS)
    source = write_texts(tmp_path / "in.csv")
    score(source, tmp_path / "out.csv", model=bundle, precision=point.precision)
    least = sentilora.Classifier.load(bundle, precision=point.precision).answers_from.confidence
    for row, prediction in zip(read_rows(tmp_path / "out.csv"), expected):
        assert row["sentiment"] == (prediction.label if prediction.confidence >= least else "uncertain")
        assert float(row["confidence"]) == prediction.confidence
    with pytest.raises(ConfigError, match="a precision of 2 is none"):
        score(source, tmp_path / "x.csv", model=bundle, precision=2)
