"""The one door for data: every kind of file, frame and name gives the same labelled texts."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import datasets
import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_server import hub_stand_in
from sentilora.errors import ConfigError, DataError
from sentilora.labels import LabelMap
from sentilora.tables import Columns, read_labelled, read_texts, read_unlabelled
from sentilora.tables.inputs import find_inputs
from sentilora.tables.streaming import read_chunks

ROWS = [
    ("Lovely.", 5),
    ('Two\nlines, a "quote", a\ttab', 1),
    ("Café 😀 über", 4),
    ("so-so", 3),
    ("007", 2),
]
STARS = LabelMap.parse({"1-2": "negative", "4-5": "positive"})


def write_rows(path: Path, rows: list[tuple[str, Any]]) -> str:
    """Write `text` and `stars` in the format of the path's ending, with other libraries than the reader's."""
    name = path.name.removesuffix(".gz") if hasattr(str, "removesuffix") else path.name.replace(".gz", "")
    plain = path.with_name(name)
    if plain.suffix in (".csv", ".tsv"):
        with plain.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="," if plain.suffix == ".csv" else "\t")
            writer.writerows([("text", "stars"), *rows])
    elif plain.suffix == ".jsonl":
        lines = [json.dumps({"text": text, "stars": stars}, ensure_ascii=False) for text, stars in rows]
        plain.write_text("\n".join(lines) + "\n", "utf-8")
    elif plain.suffix == ".xlsx":
        workbook = openpyxl.Workbook()
        for row in [("text", "stars"), *rows]:
            workbook.active.append(row)
        workbook.create_sheet("an empty one")
        workbook.save(plain)
    else:
        pyarrow.parquet.write_table(
            pa.table({"text": [row[0] for row in rows], "stars": [row[1] for row in rows]}), plain
        )
    if plain != path:
        path.write_bytes(gzip.compress(plain.read_bytes()))
    return str(path)


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.xlsx", "a.csv.gz", "a.jsonl.gz", "a.parquet.gz", "a.xlsx.gz"]
)
def test_every_kind_of_file_gives_the_same_texts(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name, ROWS)
    data = read_labelled(path, Columns(label_map=STARS))
    assert data.texts == [text for text, stars in ROWS if stars != 3]
    assert data.labels.tolist() == [1, 0, 1, 0]
    assert data.dropped == {"labels that the map leaves out (3)": 1}
    assert read_texts(Path(path)) == [text for text, _ in ROWS]


def test_every_kind_of_frame_gives_the_same_texts() -> None:
    columns = {"Review Text": [text for text, _ in ROWS], "Star-Rating": [stars for _, stars in ROWS]}
    frames = [
        pd.DataFrame(columns),
        pd.DataFrame(columns, index=[7, 7, 3, 1, 0]),
        pl.DataFrame(columns),
        pa.table(columns),
        datasets.Dataset.from_dict(columns),
    ]
    for frame in frames:
        data = read_labelled(frame, Columns(label_map=STARS))
        assert data.texts == [text for text, stars in ROWS if stars != 3]
        assert data.labels.tolist() == [1, 0, 1, 0]
        assert data.source == "a table from Python"
        assert "from a table from Python, columns 'Review Text' and 'Star-Rating'; 1 rows dropped" in data.describe()


def test_columns_that_nobody_needs_may_hold_anything(tmp_path: Path) -> None:
    wanted = (["good", "bad"], [1, 0])
    sources: list[Any] = [
        pd.DataFrame({"text": ["good", "bad"], "label": [1, "neg"], "price": [12.5, "from 9"], "more": [{}, 1]}),
        tmp_path / "unused.jsonl",
        tmp_path / "unused.csv",
    ]
    sources[1].write_text(
        '{"text": "good", "label": 1, "price": 12.5}\n\n{"text": "bad", "label": "neg", "price": "from 9", "x": []}\n',
        "utf-8",
    )
    sources[2].write_text("text,label,date,date,,\ngood,1,a,b,,\nbad,0,c,d,,\n", "utf-8")
    for source in sources:
        data = read_labelled(source)
        assert (data.texts, data.labels.tolist()) == wanted


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_csv_may_be_delimited_as_spreadsheets_do_it(
    tmp_path: Path, delimiter: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("text", "label"), ("good, really", "1"), ('"bad"; or | not', "0")]
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    with caplog.at_level("INFO", "sentilora"):
        assert read_labelled(path).texts == [text for text, _ in rows[1:]]
    assert "its cells are separated by" in caplog.text
    (chunk,) = read_chunks(find_inputs([str(path)])[0], 10)
    assert chunk.table.column("text").to_pylist() == [text for text, _ in rows[1:]]


def test_cells_of_many_kinds_and_of_none() -> None:
    mixed = pd.DataFrame({"text": ["good", "bad", pd.NA], "label": ["pos", 0, 1], "x": ["q", 3, pd.NA]})
    assert read_labelled(mixed).texts == ["good", "bad"]
    of_arrays = pd.DataFrame({"text": ["good", "bad"], "label": [1, 0], "x": [np.eye(2), np.eye(2)]})
    assert read_labelled(of_arrays).texts == ["good", "bad"]
    categories = pl.DataFrame({"text": pl.Series(["good", "bad"], dtype=pl.Categorical), "label": [1, 0]})
    assert read_labelled(categories).texts == ["good", "bad"]


def test_texts_without_labels_from_everywhere(tmp_path: Path) -> None:
    columns = {"my words": [f"text {n}" for n in range(3)], "x": [1, 2, 3]}
    for source in (pd.DataFrame(columns), pa.table(columns), datasets.Dataset.from_dict(columns)):
        found = read_unlabelled(source, Columns(text="my words"))
        assert (found.texts, found.source) == (columns["my words"], "a table from Python")
    assert len(read_unlabelled("bundled:test").texts) == 400
    with pytest.raises(DataError, match="no column for the texts"):
        read_unlabelled(pd.DataFrame({"words": ["a"]}))


def test_nan_is_nothing() -> None:
    frame = pd.DataFrame({"text": ["good", float("nan"), "bad", "hm"], "label": [1.0, 0.0, 0.0, float("nan")]})
    data = read_labelled(frame)
    assert (data.texts, data.labels.tolist()) == (["good", "bad"], [1, 0])
    assert data.dropped == {"no text in column 'text'": 1, "no label in column 'label'": 1}
    written = pd.DataFrame({"text": ["good", "bad", "hm"], "label": ["pos", "neg", "NaN"]})
    assert read_labelled(written).dropped == {"no label in column 'label'": 1}
    mapped = Columns(label_map={"pos": "positive", "neg": "negative", "nan": "negative"})
    assert read_labelled(written, mapped).labels.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"text": ["a", "b"], "label": [0, {1: 2}]}), "row 2, column 'label': '{1: 2}' is not a label"),
        (datasets.DatasetDict({"train": datasets.Dataset.from_dict({})}), "DatasetDict with train: give one table"),
        (pa.table([["a"], ["b"], [0]], names=["text", "text", "label"]), "more than one column called text"),
        ([("a", 0)], "data of type list: give a name, a path, or a pandas, polars or Arrow table"),
        (pd.DataFrame({"text": ["a"], "rank": [1]}), "no column for the labels"),
        (pd.Series(["a", "b"]), "data of type Series: give a name, a path, or a pandas, polars or Arrow table"),
    ],
)
def test_frames_that_do_not_serve(frame: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labelled(frame)


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)))
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_no_text_is_changed_on_its_way_in(
    tmp_path_factory: pytest.TempPathFactory, name: str, texts: list[str]
) -> None:
    rows = [("first", 0), ("second", 1), *((text, 1) for text in texts)]
    path = write_rows(tmp_path_factory.mktemp("data") / name, rows)
    data = read_labelled(path)
    assert data.texts == ["first", "second", *(text for text in texts if text.strip())]


def test_a_workbook_of_two_sheets_is_not_guessed_at(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.append(["text", "label"])
    workbook.create_sheet("March").append(["text", "label"])
    workbook.save(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match=r"more than one sheet holds rows \(Sheet, March\)"):
        read_labelled(str(tmp_path / "a.xlsx"))


@pytest.mark.parametrize("name", ["a.xlsx", "a.parquet", "a.jsonl", "a.csv.gz"])
@pytest.mark.parametrize("content", [b"", b"this is not what the name says\n", b"\x00\x01\x02"])
def test_files_that_are_not_what_they_say(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_labelled(str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dates_and_mixed_cells_of_a_workbook_are_text(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    for row in (["text", "label", "order"], ["good", "1", 1e22], [2024, 0, 7], [None, 1, 8]):
        workbook.active.append(row)
    workbook.save(tmp_path / "a.xlsx")
    data = read_labelled(str(tmp_path / "a.xlsx"))
    assert (data.texts, data.labels.tolist()) == (["good", "2024"], [1, 0])


@pytest.mark.parametrize(
    ("mapping", "value", "label"),
    [
        ({"1-2": "negative", "4-5": "positive"}, 2, 0),
        ({"1-2": "negative", "4-5": "positive"}, 4.5, 1),
        ({"1-2": "negative", "4-5": "positive"}, "5", 1),
        ({"1-2": "negative", "4-5": "positive"}, 3, None),
        ({"1-2": "negative", "4-5": "positive"}, "five", None),
        ({"Good": "positive", "bad": "neg"}, " GOOD ", 1),
        ({"-1": "negative", "1": "positive"}, -1.0, 0),
        ({"-5--1": "negative", "1-5": "positive"}, -3, 0),
        ({"0-4": "negative", "6-10": "positive"}, 1e300, None),
        ({"0-10": "negative", "7": "positive"}, 7, 1),
        ({"true": "negative", "false": "positive"}, True, 0),
    ],
)
def test_a_label_map_says_what_values_mean(mapping: dict[str, str], value: object, label: int) -> None:
    assert LabelMap.parse(mapping).label_id(value) == label


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"1-3": "negative", "3-5": "positive"}, "'3-5' overlaps"),
        ({"2-1": "negative", "4-5": "positive"}, "'2-1' runs backwards"),
        ({"good": "positive", "GOOD": "negative"}, "'GOOD' is there twice"),
    ],
)
def test_a_label_map_that_contradicts_itself(mapping: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LabelMap.parse(mapping)


def test_a_label_map_that_says_too_little() -> None:
    with pytest.raises(ConfigError, match="which values are negative and which are positive"):
        LabelMap.parse({"1": "negative"})
    with pytest.raises(ConfigError, match="'3=neutral': a value means negative or positive"):
        LabelMap.parse({"3": "neutral"})


def test_a_label_map_that_maps_nothing(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv", ROWS)
    with pytest.raises(DataError, match="row 1, column 'stars': '5' is not in the label map"):
        read_labelled(path, Columns(label_map=LabelMap.parse({"no": "negative", "yes": "positive"})))


def converted(folder: Path, label_names: list[str]) -> Path:
    """A data set as the Hub converts it to Parquet."""
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=label_names)})
    for config in ("plain", "other"):
        for split in ("train", "test"):
            rows = {"text": [f"{config} {split} 0", f"{config} {split} 1"], "label": [0, 1]}
            place = folder / config / split
            place.mkdir(parents=True)
            datasets.Dataset.from_dict(rows, features).to_parquet(place / "0000.parquet")
    return folder


def test_any_data_set_of_the_hub(tmp_path: Path) -> None:
    folder = converted(tmp_path / "reviews", ["positive", "negative"])

    def read(name: str, endpoint: Optional[str]) -> Any:
        """What a new process reads, and what it says where that fails."""
        code = (
            "import sys, json; from sentilora import errors, read_labelled\n"
            "try: data = read_labelled(sys.argv[1]); print(json.dumps([data.texts, data.labels.tolist()]))\n"
            "except errors.UserError as error: print(json.dumps(str(error)))"
        )
        hub = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"} if endpoint else {"HF_HUB_OFFLINE": "1"}
        environment = {**os.environ, **hub, "HF_HOME": str(tmp_path / "cache")}
        command = [sys.executable, "-c", code, name]
        return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    with hub_stand_in({"datasets/shop/reviews": folder}) as server:
        assert read("shop/reviews", server.url) == "choose a configuration of shop/reviews/...: other, plain"
        # By the names of the labels, not their numbers.
        assert read("shop/reviews/plain", server.url) == [["plain train 0", "plain train 1"], [1, 0]]
        assert read("shop/reviews/other:test", server.url) == [["other test 0", "other test 1"], [1, 0]]
        assert read("shop/reviews/plain:dev", server.url) == "shop/reviews has no split 'dev': it has test, train"
        assert "'datasets/no/such' is neither a folder here nor a public" in read("no/such", server.url)
        downloads = [request for request in server.requests if request.startswith("GET") and ".parquet" in request]
        assert len(downloads) == 2
    assert read("shop/reviews/plain", None) == [["plain train 0", "plain train 1"], [1, 0]]
    assert "the Hub cannot be reached" in read("shop/others", None)
    nowhere = "http://127.0.0.1:9"
    assert read("shop/reviews/plain", nowhere) == [["plain train 0", "plain train 1"], [1, 0]]
    assert "use --data with a file" in read("shop/others", nowhere)
