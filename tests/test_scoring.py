"""Scoring files: nothing lost, nothing changed, whatever happens on the way."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import fsspec
import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sentilora
from sentilora.errors import ConfigError, DataError, OutputError
from sentilora.scoring import gather, score
from sentilora.scoring.rows import RowScorer
from sentilora.tables.inputs import ENDINGS, TableName
from sentilora.tables.streaming import read_chunks
from sentilora.tables.writing import table_format

ANSWERS = ["sentiment", "p_positive", "confidence", "truncated"]
ROWS = [
    {"id": "007", "Review": "A warm, funny film", "note": 'she said "go"'},
    {"id": "0x1F", "Review": "Dull,\nslow and far too long", "note": ""},
    {"id": "1.10", "Review": "Ein schöner Abend ☕", "note": "a,b\tc"},
    {"id": "", "Review": "A warm, funny film", "note": " padded "},
]


def write_csv(path: Path, rows: Sequence[dict[str, Any]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def read_any(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    kind = path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]
    if path.suffix == ".zst":
        content = pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()
    if kind == "parquet":
        return pyarrow.parquet.read_table(pa.BufferReader(content)).to_pylist()
    if kind == "jsonl":
        return [json.loads(line) for line in content.decode().splitlines()]
    delimiter = "\t" if kind == "tsv" else ","
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), delimiter=delimiter))


def rejects_of(output: Path) -> list[tuple[int, str]]:
    return [(line["row"], line["reason"]) for line in read_any(Path(f"{output}.rejects.jsonl"))]


@pytest.fixture
def reviews_table(tmp_path: Path) -> Path:
    """300 rows, three without a text."""
    words = ("warm", "dull", "funny", "slow", "clever", "cold", "loud")
    texts = [f"A {words[row % 7]} film, {words[row % 5]} and {words[row % 3]}, scene {row % 200}" for row in range(300)]
    rows = [{"id": f"{row:05d}", "text": text} for row, text in enumerate(texts)]
    for row in (3, 150, 299):
        rows[row]["text"] = " "
    return write_csv(tmp_path / "many.csv", rows)


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        *(("csv", "csv"), ("csv", "parquet"), ("csv.gz", "jsonl"), ("tsv", "tsv"), ("jsonl", "jsonl.zst")),
        *(("jsonl", "csv"), ("jsonl", "parquet"), ("parquet", "csv.gz"), ("parquet", "jsonl"), ("xlsx", "csv")),
    ],
)
def test_every_format_keeps_rows_values_and_order(tmp_path: Path, bundle: Path, kind: str, output: str) -> None:
    source = tmp_path / f"in.{kind}"
    if kind in ("csv", "tsv"):
        write_csv(source, ROWS, "\t" if kind == "tsv" else ",")
    elif kind == "csv.gz":
        source.write_bytes(gzip.compress(write_csv(tmp_path / "plain.csv", ROWS).read_bytes()))
    elif kind == "jsonl":
        write_jsonl(source, ROWS)
    elif kind == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS), source)
    else:
        workbook = openpyxl.Workbook()
        for row in (list(ROWS[0]), *(list(row.values()) for row in ROWS)):
            workbook.active.append(row)
        workbook.save(source)
    target = tmp_path / f"out.{output}"
    result = score(source, target, model=bundle, chunk_rows=3)
    assert (result.rows, result.scored, result.rejected, result.rejects) == (4, 4, 0, None)
    scored = read_any(target)
    assert [{name: row[name] or "" for name in ROWS[0]} for row in scored] == ROWS
    expected = sentilora.Classifier.load(bundle)([row["Review"] for row in ROWS])
    for row, prediction in zip(scored, expected):
        assert list(row) == [*ROWS[0], *ANSWERS]
        assert row["sentiment"] == prediction.label
        assert (float(row["p_positive"]), float(row["confidence"])) == (prediction.p_positive, prediction.confidence)
        assert str(row["truncated"]).lower() == "false"
    assert sorted(path.name for path in tmp_path.glob("out*")) == [target.name]


def test_numbers_and_records_of_json_lines_stay_as_written(tmp_path: Path, bundle: Path) -> None:
    source = tmp_path / "in.jsonl"
    lines = [
        '{"text":"fine","price":1.10,"n":12345678901234567890,"tags":["a", 1]}',
        '{"late":null,"text":"poor","price":2}',
    ]
    source.write_text("\n".join(lines), "utf-8")
    score(source, tmp_path / "out.jsonl", model=bundle)
    for given_line, line in zip(lines, (tmp_path / "out.jsonl").read_text("utf-8").splitlines()):
        for member in given_line[1:-1].split(',"'):
            assert member.lstrip('"') in line
    score(source, tmp_path / "out.parquet", model=bundle)
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.column("price").to_pylist() == [1.1, 2.0]
    assert table.column("n").to_pylist() == ["12345678901234567890", None]
    score(source, tmp_path / "out.csv", model=bundle)
    assert read_any(tmp_path / "out.csv")[0]["tags"] == '["a", 1]'


def test_types_of_parquet_stay(tmp_path: Path, bundle: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["fine", "poor"]).dictionary_encode(),
            "when": pa.array([1, 1700000000123456789], pa.timestamp("ns", "UTC")),
            "count": pa.array([None, 7], pa.int16()),
            "list": pa.array([[1, 2], None]),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    score(tmp_path / "in.parquet", tmp_path / "out.parquet", model=bundle)
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").select(table.column_names).equals(table)
    score(tmp_path / "in.parquet", tmp_path / "out.csv", model=bundle)
    second = read_any(tmp_path / "out.csv")[1]
    assert (second["when"], second["count"], second["list"]) == ("2023-11-14 22:13:20.123456789Z", "7", "")


text_cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@given(st.lists(st.tuples(text_cell, text_cell), max_size=20), st.sampled_from([".csv", ".tsv"]), st.integers(1, 7))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cells_come_back_as_they_were(
    tmp_path: Path, rows: list[tuple[str, str]], ending: str, chunk_rows: int
) -> None:
    """Written by Python's own csv module, read and written by ours, and read by Python's again."""
    delimiter = "\t" if ending == ".tsv" else ","
    source, copy = (tmp_path / f"{name}{ending}" for name in ("source", "copy"))
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([("a", "b"), *rows])
    chunks = list(read_chunks(TableName.parse(str(source)), chunk_rows))
    assert not [broken for chunk in chunks for broken in chunk.broken]
    schema = pa.schema([("a", pa.large_string()), ("b", pa.large_string())])
    written = table_format(TableName.parse(str(copy)), schema)
    with copy.open("wb") as sink:
        written.join((written.encode(chunk.table) for chunk in chunks), sink)
    with copy.open(newline="", encoding="utf-8") as file:
        assert [tuple(row) for row in csv.reader(file, delimiter=delimiter)] == [("a", "b"), *rows]


def test_broken_rows_are_told_apart_by_number_and_stop_nothing(tmp_path: Path, bundle: Path) -> None:
    source = tmp_path / "in.csv"
    lines = [
        b"\xef\xbb\xbfid,text",
        b"1,good",
        b'2,"never closed',
        b"3,good",
        b"4,too,many",
        b"5,caf\xe9",
        b"6",
        b'7,"two\nlines"',
        b"8,",
        b"9," + b"long " * 200_001,
        b"10," + b"l" * 2_500_000,
        b'11,"a "quoted" word"',
        b"",
        b'12,"good"',
    ]
    source.write_bytes(b"\n".join(lines))
    result = score(source, tmp_path / "out.csv", model=bundle, chunk_rows=4)
    assert [row["id"] for row in read_any(tmp_path / "out.csv")] == ["1", "3", "7", "12"]
    reasons = dict(rejects_of(tmp_path / "out.csv"))
    assert list(reasons) == [2, 4, 5, 6, 8, 9, 10, 11]
    for row, part in {2: "malformed", 4: "3 cells", 5: "UTF-8", 6: "1 cells", 8: "no text", 9: "1,000,005"}.items():
        assert part in reasons[row]
    assert (result.rows, result.scored, result.rejected) == (12, 4, 8)
    assert result.rejects == f"{tmp_path / 'out.csv'}.rejects.jsonl"


def test_broken_lines_of_json(tmp_path: Path, bundle: Path) -> None:
    lines = [b'{"text":"good"}', b'{"text":', b"[1]", b'{"text":3}', b'{"text":null}', b'{"other":"x"}', b"", b"\xff"]
    lines.append(b'{"text":"good","more":' + 5_000 * b"[" + 5_000 * b"]" + b"}")
    lines += [b'{"text":"cut \\ud83d"}', b'{"text":"whole \\ud83d\\ude00, and \\\\ud83d","more":NaN}']
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([*lines, b'{"text":"caf\xc3\xa9"}']))
    result = score(tmp_path / "in.jsonl", tmp_path / "out.jsonl", model=bundle)
    assert [row["text"] for row in read_any(tmp_path / "out.jsonl")] == ["good", "café"]
    reasons = dict(rejects_of(tmp_path / "out.jsonl"))
    assert list(reasons) == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert "malformed" in reasons[2] and "object" in reasons[3] and "not text" in reasons[4] and "UTF-8" in reasons[7]
    assert "nested too deeply" in reasons[8]
    assert "half of a character" in reasons[9] and "malformed" in reasons[10]
    assert (result.scored, result.rejected) == (2, 9)


def command(model: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "sentilora", "score", *map(str, arguments), "--model", str(model)]


def finish(arguments: list[str], cwd: Path, **more: Any) -> subprocess.CompletedProcess[Any]:
    return subprocess.run(arguments, cwd=cwd, capture_output=True, check=False, timeout=120, **more)


def kill_when(arguments: list[str], cwd: Path, ready: Callable[[], bool]) -> None:
    process = subprocess.Popen(arguments, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ready():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
def test_killed_at_any_moment_it_ends_with_the_same_bytes(
    tmp_path: Path, bundle: Path, reviews_table: Path, ending: str
) -> None:
    score(reviews_table, tmp_path / f"whole.{ending}", model=bundle, chunk_rows=10)
    output, growing = tmp_path / f"out.{ending}", tmp_path / f"out.{ending}.unfinished"
    arguments = command(bundle, reviews_table, "-o", output, "--chunk-rows", 10)
    for chunks in (1, 9):
        kill_when(arguments, tmp_path, lambda chunks=chunks: len(list(growing.glob("0*.json"))) >= chunks)
        assert not output.exists()
    kill_when(arguments, tmp_path, (growing / "joined").exists)
    finished = finish(arguments, tmp_path, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "300 rows in = 297 scored + 3 rejected" in finished.stdout
    assert "of them before" in finished.stdout
    for suffix in ("", ".rejects.jsonl"):
        ours, theirs = (Path(f"{tmp_path / name}.{ending}{suffix}") for name in ("out", "whole"))
        assert ours.read_bytes() == theirs.read_bytes()
    assert not growing.exists()


def test_it_does_not_go_on_with_other_inputs_models_or_settings(
    tmp_path: Path, bundle: Path, reviews_table: Path
) -> None:
    output, growing = tmp_path / "out.csv", tmp_path / "out.csv.unfinished"
    chosen = {"model": bundle, "chunk_rows": 10}
    kill_when(
        command(bundle, reviews_table, "-o", output, "--chunk-rows", 10),
        tmp_path,
        lambda: len(list(growing.glob("0*.json"))) >= 2,
    )
    piped = finish(command(bundle, "-", "-o", output, "--format", "csv"), tmp_path, input=reviews_table.read_bytes())
    assert b"was begun with other inputs" in piped.stderr
    with pytest.raises(OutputError, match="other settings: give the command as it was"):
        score(reviews_table, output, **{**chosen, "chunk_rows": 60})
    before = reviews_table.read_bytes()
    reviews_table.write_bytes(before.replace(b"00001", b"10001"))
    with pytest.raises(OutputError, match="other inputs"):
        score(reviews_table, output, **chosen)
    assert growing.exists()
    result = score(reviews_table, output, overwrite=True, **chosen)
    assert (result.resumed, result.scored) == (0, 297)
    assert read_any(output)[1]["id"] == "10001"


def test_one_output_is_written_by_one_process(tmp_path: Path, bundle: Path, reviews_table: Path) -> None:
    growing = tmp_path / "out.csv.unfinished"
    arguments = command(bundle, reviews_table, "-o", "out.csv", "--chunk-rows", 1)
    with subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        while not growing.exists():
            assert first.poll() is None
            time.sleep(0.01)
        with pytest.raises(OutputError, match="another process is writing"):
            score(reviews_table, tmp_path / "out.csv", model=bundle, chunk_rows=1)
        first.kill()


def test_what_is_there_is_kept(tmp_path: Path, bundle: Path) -> None:
    source = write_csv(tmp_path / "in.csv", ROWS)
    (tmp_path / "out.csv").write_text("mine", "utf-8")
    with pytest.raises(OutputError, match="exists already"):
        score(source, tmp_path / "out.csv", model=bundle)
    assert (tmp_path / "out.csv").read_text("utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]
    (tmp_path / "link.csv").symlink_to(source)
    for itself in (source, tmp_path / "link.csv", os.path.relpath(source), f"{tmp_path}/./in.csv"):
        with pytest.raises(ConfigError, match="is an input"):
            score(source, itself, model=bundle, overwrite=True)
    score(source, tmp_path / "out.csv", model=bundle, overwrite=True)
    assert len(read_any(tmp_path / "out.csv")) == len(ROWS)


@pytest.mark.parametrize(("ending", "in_torch"), [("csv", True), ("jsonl.gz", False), ("parquet", False)])
def test_shards_gather_to_what_one_run_writes(
    tmp_path: Path, bundle: Path, run: sentilora.Run, reviews_table: Path, ending: str, in_torch: bool
) -> None:
    chosen = {"model": run.folder if in_torch else bundle, "chunk_rows": 20}
    score(reviews_table, tmp_path / f"whole.{ending}", **chosen)
    results = [score(reviews_table, tmp_path / f"out.{ending}", shard=f"{index}/5", **chosen) for index in range(1, 6)]
    paths = [Path(result.output) for result in results]
    assert paths[1].name == f"out-2-of-5.{ending}"
    with pytest.raises(DataError, match="not all shards are there: name the files of 2/5 too"):
        gather([paths[0], *paths[2:]], tmp_path / f"all.{ending}")
    with pytest.raises(DataError, match="are both shard 1/5"):
        gather([paths[0], *paths], tmp_path / f"all.{ending}")
    gathered = gather(paths[::-1], tmp_path / f"all.{ending}")
    assert (gathered.scored, gathered.rejected) == (297, 3)
    for suffix in ("", ".rejects.jsonl"):
        ours, theirs = (Path(f"{tmp_path / name}.{ending}{suffix}") for name in ("all", "whole"))
        assert ours.read_bytes() == theirs.read_bytes()
    paths[2].write_bytes(paths[2].read_bytes()[:-1])
    with pytest.raises(DataError, match="not as it was scored"):
        gather(paths, tmp_path / f"again.{ending}")
    assert not list(tmp_path.glob("again*"))


def test_shards_of_other_jobs_are_refused(tmp_path: Path, bundle: Path) -> None:
    source, other = (write_csv(tmp_path / f"{name}.csv", ROWS[:count]) for name, count in (("in", 4), ("other", 3)))
    first = score(source, tmp_path / "a.csv", model=bundle, shard="1/2").output
    second = score(other, tmp_path / "b.csv", model=bundle, shard="2/2").output
    with pytest.raises(DataError, match="belongs to another job"):
        gather([first, second], tmp_path / "all.csv")
    with pytest.raises(ConfigError, match="--shard 3/2"):
        score(source, tmp_path / "c.csv", model=bundle, shard="3/2")


def test_a_shard_without_rows_says_why(tmp_path: Path, bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sentilora")
    source, said = write_csv(tmp_path / "in.csv", ROWS), "no rows came to shard 2/2: they are dealt out by"
    score(source, tmp_path / "a.csv", model=bundle, shard="1/2")
    assert said not in caplog.text
    score(source, tmp_path / "a.csv", model=bundle, shard="2/2")
    assert f"{said} 512 (--chunk-rows)" in caplog.text


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_standard_input_to_standard_output(tmp_path: Path, bundle: Path, kind: str) -> None:
    source = (write_csv if kind == "csv" else write_jsonl)(tmp_path / f"in.{kind}", [*ROWS, {**ROWS[0], "Review": ""}])
    piped = finish(command(bundle, "-", "-o", "-", "--format", kind), tmp_path, input=source.read_bytes())
    assert piped.returncode == 0, piped.stderr
    (tmp_path / f"piped.{kind}").write_bytes(piped.stdout)
    assert b'"row":5,"reason":"column \'Review\' holds no text"' in piped.stderr
    assert b"5 rows in = 4 scored + 1 rejected" in piped.stderr
    score(source, tmp_path / f"file.{kind}", model=bundle)
    assert (tmp_path / f"file.{kind}").read_bytes() == piped.stdout
    unnamed = finish(command(bundle, "-", "-o", "-"), tmp_path, input=b"")
    assert (unnamed.returncode, unnamed.stderr.count(b"\n")) == (2, 1)
    assert b"say --format" in unnamed.stderr


def test_a_late_column_of_standard_input_is_not_lost(tmp_path: Path, bundle: Path) -> None:
    lines = b'{"text":"a"}\n{"text":"b"}\n{"text":"c","late":1}\n'
    arguments = command(bundle, "-", "-o", "out.csv", "--format", "jsonl", "--chunk-rows", 2)
    assert finish(arguments, tmp_path, input=lines).returncode == 0
    assert [row["text"] for row in read_any(tmp_path / "out.csv")] == ["a", "b"]
    assert "'late'" in dict(rejects_of(tmp_path / "out.csv"))[3]


def test_folders_patterns_and_urls(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_csv(folder / "b.csv", ROWS[:2])
    write_jsonl(folder / "a.jsonl", [{"Review": "fine", "extra": 1}])
    (folder / "notes.txt").write_text("not a table", "utf-8")
    result = score(folder, tmp_path / "folder.csv", model=bundle)
    assert [(row["id"], row["extra"]) for row in read_any(tmp_path / "folder.csv")] == [
        ("", "1"),
        ("007", ""),
        ("0x1F", ""),
    ]
    assert result.rows == 3
    score([f"{folder}/*.csv", folder / "a.jsonl"], tmp_path / "pattern.csv", model=bundle)
    assert [row["id"] for row in read_any(tmp_path / "pattern.csv")] == ["007", "0x1F", ""]

    for name in ("one", "two"):
        with fsspec.open(f"memory://reviews/{name}.csv", "wb") as file:
            file.write((folder / "b.csv").read_bytes())
    result = score("memory://reviews/*.csv", "memory://scored/all.csv.gz", model=bundle)
    assert result.rows == 4
    with fsspec.open("memory://scored/all.csv.gz", "rb", compression="gzip") as file:
        assert file.read().count(b"007") == 2
    with pytest.raises(OutputError, match="exists already"):
        score("memory://reviews", "memory://scored/all.csv.gz", model=bundle)
    with pytest.raises(DataError, match="nowhere"):
        score("memory://nowhere/x.csv", tmp_path / "x.csv", model=bundle)
    with pytest.raises(DataError, match="cannot be reached"):
        score("nosuchstore://x.csv", tmp_path / "x.csv", model=bundle)
    with pytest.raises(DataError, match="no file at"):
        score(tmp_path / "absent.csv", tmp_path / "x.csv", model=bundle)


def test_repeated_texts_are_answered_once(tmp_path: Path, bundle: Path) -> None:
    source = write_csv(tmp_path / "in.csv", [{"text": f"film {row % 3}"} for row in range(30)])
    result = score(source, tmp_path / "out.csv", model=bundle)
    assert (result.scored, result.repeated) == (30, 27)
    rows = read_any(tmp_path / "out.csv")
    assert rows[0]["p_positive"] == rows[3]["p_positive"] != rows[1]["p_positive"]


def test_a_column_of_the_same_name_stays(tmp_path: Path, bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write_csv(tmp_path / "in.csv", [{"text": "fine", "sentiment": "mine"}])
    with caplog.at_level("INFO"):
        score(source, tmp_path / "out.csv", model=bundle)
    assert read_any(tmp_path / "out.csv")[0]["sentiment"] == "mine"
    assert read_any(tmp_path / "out.csv")[0]["sentiment_predicted"] in ("negative", "positive")
    assert "'sentiment_predicted'" in caplog.text
    with pytest.raises(DataError, match="rename one"):
        score(tmp_path / "out.csv", tmp_path / "twice.csv", model=bundle)


def test_a_late_column_called_like_an_answer_is_told_apart(tmp_path: Path, bundle: Path) -> None:
    lines = b'{"text":"a"}\n{"text":"b"}\n{"text":"c","sentiment":"mine"}\n{"text":"d"}\n'
    for kind in ("jsonl", "csv", "parquet"):
        arguments = command(bundle, "-", "-o", f"out.{kind}", "--format", "jsonl", "--chunk-rows", 2)
        piped = finish(arguments, tmp_path, input=lines)
        assert piped.returncode == 0, piped.stderr
        assert [row["text"] for row in read_any(tmp_path / f"out.{kind}")] == ["a", "b", "d"]
        assert "'sentiment', a column that the first rows lack" in dict(rejects_of(tmp_path / f"out.{kind}"))[3]


def test_tables_without_rows_among_others(tmp_path: Path, bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_csv(folder / "b.csv", ROWS)
    (folder / "a.csv").write_text("name,stars\n", "utf-8")
    (folder / "c.tsv").touch()
    (folder / "d.jsonl").write_text("{broken\n[1]\n", "utf-8")
    pyarrow.parquet.write_table(pa.table({"id": pa.array([], pa.int8())}), folder / "e.parquet")
    openpyxl.Workbook().save(folder / "f.xlsx")
    for ending in ("csv", "parquet"):
        with caplog.at_level("INFO"):
            result = score(folder, tmp_path / f"out.{ending}", model=bundle, chunk_rows=3)
        assert (result.rows, result.scored, result.rejected) == (6, 4, 2)
        assert [row["id"] for row in read_any(tmp_path / f"out.{ending}")] == [row["id"] for row in ROWS]
        assert list(read_any(tmp_path / f"out.{ending}")[0]) == [*ROWS[0], *ANSWERS]
    for name in ("a.csv", "c.tsv", "e.parquet", "f.xlsx"):
        assert caplog.text.count(f"{name}: 0 rows, and nothing to score") == 2
    assert "d.jsonl: no row can be read (row 1 is malformed" in caplog.text
    for name in ("a.csv", "c.tsv", "d.jsonl", "e.parquet"):
        with pytest.raises(DataError, match=f"{name} holds no row that can be read"):
            score(folder / name, tmp_path / "none.csv", model=bundle)
    assert not list(tmp_path.glob("none*"))


@pytest.mark.parametrize(("output", "name"), [("out.csv", "many.csv"), ("-", "many.csv"), ("out.csv", "https.csv")])
def test_an_input_that_changes_meanwhile_is_noticed(
    tmp_path: Path, bundle: Path, reviews_table: Path, output: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = Path(name)
    reviews_table.rename(table)

    def edit(scorer: RowScorer, file: Any, chunk: Any, real: Any = RowScorer.__call__) -> Any:
        if chunk.numbers[0] == 41:
            table.write_bytes(table.read_bytes().replace(b"00001", b"10001"))
        return real(scorer, file, chunk)

    more = {"format": "csv"} if output == "-" else {}
    target = output if output == "-" else tmp_path / output
    with monkeypatch.context() as patch:
        patch.setattr(RowScorer, "__call__", edit)
        with pytest.raises(DataError, match=f"{name} was changed while it was scored: give the command again"):
            score(table, target, model=bundle, chunk_rows=20, **more)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]
    assert score(table, tmp_path / "again.csv", model=bundle).resumed == 0


def test_what_may_not_be_read_or_written_is_the_users_to_put_right(tmp_path: Path) -> None:
    """As a user without rights, whom the superuser of a container becomes."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_csv(folder / "in.csv", ROWS)
    (tmp_path / "empty").mkdir()
    tmp_path.chmod(0o711)
    (folder / "in.csv").chmod(0)
    folder.chmod(0)
    code = """
import os, sys
from sentilora.errors import UserError
from sentilora.scoring import score
from sentilora.tables.inputs import TableName
if os.geteuid() == 0: os.setuid(65534)
for do in (
    lambda: score("in", "out.csv", model="x"),
    lambda: score("in/in.csv", "out.csv", model="x"),
    lambda: score("empty", "out.csv", model="x"),
    lambda: score("-", "in/out.csv", model="x", format="csv"),
    lambda: TableName.parse("in/in.csv").fingerprint(),
):
    try:
        do()
    except UserError as error:
        print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    folder.chmod(0o700)
    assert found.stdout.splitlines() == [
        "in cannot be read: Permission denied",
        "in/in.csv cannot be read: Permission denied",
        f"empty holds no files of rows: they end in {ENDINGS}",
        "cannot write in/out.csv: Permission denied",
        "in/in.csv cannot be read: Permission denied",
    ], found.stderr


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, bundle: Path, reviews_table: Path) -> None:
    arguments = command(bundle, reviews_table, "-o", "out.csv", "--chunk-rows", 10)
    limit = 20_000  # enough for a chunk, not for all

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    full = finish(arguments, tmp_path, text=True, preexec_fn=small_files)
    assert full.returncode == 2
    assert full.stderr.splitlines()[-1].startswith("error: cannot write")
    assert not (tmp_path / "out.csv").exists()
    finished = finish(arguments, tmp_path, text=True)
    assert "300 rows in = 297 scored + 3 rejected" in finished.stdout
    assert "300 of them before" in finished.stdout
