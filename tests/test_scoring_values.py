"""Scoring files: values are written as they were read, or their rows are told apart."""

from __future__ import annotations

import functools
import json
import operator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentilora.scoring import score
from sentilora.tables.cells import as_texts, as_type, is_text
from sentilora.tables.kinds import kind_of
from test_scoring import read_any, rejects_of


def test_blank_lines_of_a_single_column_are_rows(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "in.csv").write_text("\ntext\ngood\n\nbad\n", "utf-8")
    result = score(tmp_path / "in.csv", tmp_path / "out.csv", model=bundle)
    assert (result.rows, result.scored) == (3, 2)
    assert rejects_of(tmp_path / "out.csv") == [(2, "column 'text' holds no text")]


def test_a_name_twice_in_a_line_of_json(tmp_path: Path, bundle: Path) -> None:
    lines = [
        '{"text":"a","id":1,"id":2}',
        '{"text":"say \\"text\\"","more":{"text":1}}',
        '{"text":"b","te\\u0078t":"c"}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), "utf-8")
    score(tmp_path / "in.jsonl", tmp_path / "out.jsonl", model=bundle)
    assert [row["text"] for row in read_any(tmp_path / "out.jsonl")] == ['say "text"']
    assert rejects_of(tmp_path / "out.jsonl") == [(1, "names 'id' twice"), (3, "names 'text' twice")]


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (["1", "2.5"], pa.float64()),
        (["1", "9007199254740993"], pa.int64()),
        (["9007199254740993", "0.5"], pa.large_string()),
        (["0.5", "9007199254740993"], pa.large_string()),
        (["1", "123456789012345678901234"], pa.large_string()),
        (["123456789012345678901234", "0.5", "true"], pa.large_string()),
        (["1e400", "2"], pa.large_string()),
        (["true", "1"], pa.large_string()),
    ],
)
def test_numbers_of_json_lines_stay_exact_in_parquet(
    tmp_path: Path, bundle: Path, caplog: pytest.LogCaptureFixture, written: list[str], kind: pa.DataType
) -> None:
    (tmp_path / "in.jsonl").write_text("".join(f'{{"text":"fine","n":{each}}}\n' for each in written), "utf-8")
    for number, each in enumerate(written):
        (tmp_path / f"part-{number}.jsonl").write_text(f'{{"text":"fine","n":{each}}}\n', "utf-8")
    for source in ("in.jsonl", "part-*.jsonl"):
        for chunk_rows in (1, 100):
            with caplog.at_level("INFO"):
                score(tmp_path / source, tmp_path / "out.parquet", model=bundle, chunk_rows=chunk_rows, overwrite=True)
            column = pyarrow.parquet.read_table(tmp_path / "out.parquet").column("n")
            assert column.type == kind
            if kind == pa.large_string():
                assert column.to_pylist() == written
            else:
                assert column.to_pylist() == [json.loads(each) for each in written]
    assert caplog.text.count("column 'n' holds values of several types") == (4 if kind == pa.large_string() else 0)


@given(
    st.permutations(
        [
            pa.array([2**60 + 1, -5]),
            pa.array([2**63 + 1], pa.uint64()),
            pa.array([0.1]),
            pa.array([7, None], pa.int8()),
            pa.array([0.5], pa.float32()),
            pa.array(["x"]),
            pa.array([b"y"]),
            pa.array([True]),
            pa.array([None]),
        ]
    ),
    st.integers(2, 4),
)
@settings(max_examples=100)
def test_columns_of_files_that_disagree(arrays: list[pa.Array], count: int) -> None:
    """Whatever the order, one type that every file's values can be written in, without a change."""
    fields = [pa.field("", array.type) for array in arrays[:count]]
    columns = [pa.chunked_array([array]) for array in arrays[:count]]
    kinds = [kind_of(field, column) for field, column in zip(fields, columns)]
    kind = functools.reduce(operator.or_, kinds)
    assert functools.reduce(operator.or_, kinds[::-1]) == kind
    for field, column in zip(fields, columns):
        if not pa.types.is_null(kind.type):
            values = as_type(field, column, kind.type).to_pylist()
            assert values == (as_texts(field, column) if is_text(kind.type) else column.to_pylist())


@pytest.mark.parametrize("output", ["out.csv", "out.jsonl", "out.parquet"])
def test_bytes_are_kept_or_told_apart(tmp_path: Path, bundle: Path, output: str) -> None:
    broken = pa.array([b"caf\xe9"], pa.binary()).view(pa.string())
    first = pa.table({"text": ["fine", "good"], "thumb": [b"\x89PNG\xff", b"plain"], "note": ["a", "b"]})
    second = pa.table({"text": ["poor"], "thumb": pa.array([None], pa.binary()), "note": broken})
    pyarrow.parquet.write_table(pa.concat_tables([first, second]), tmp_path / "in.parquet")
    result = score(tmp_path / "in.parquet", tmp_path / output, model=bundle)
    reasons = dict(rejects_of(tmp_path / output))
    assert "column 'note' is not UTF-8" in reasons[3]
    if output == "out.parquet":
        assert pyarrow.parquet.read_table(tmp_path / output).select(first.column_names).equals(first)
    else:
        assert (result.scored, list(reasons)) == (1, [1, 3])
        assert "column 'thumb' is not UTF-8" in reasons[1]
        assert read_any(tmp_path / output)[0]["thumb"] == "plain"


@pytest.mark.parametrize("output", ["out.csv", "out.jsonl", "out.parquet"])
def test_bytes_inside_lists_are_kept_or_told_apart(tmp_path: Path, bundle: Path, output: str) -> None:
    tags = pa.ListArray.from_arrays([0, 1, 2, 2], pa.array([b"caf\xe9", b"tea"], pa.binary()).view(pa.string()))
    table = pa.table({"text": ["fine", "good", "poor"], "tags": tags})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    result = score(tmp_path / "in.parquet", tmp_path / output, model=bundle)
    if output == "out.parquet":
        assert result.scored == 3
    else:
        ((row, reason),) = rejects_of(tmp_path / output)
        assert (row, reason.startswith("column 'tags' is not UTF-8")) == (1, True)
        assert [row["text"] for row in read_any(tmp_path / output)] == ["good", "poor"]
