from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentilora.errors import DataError
from sentilora.tables import Columns, read_labelled, read_texts, split_labelled, subset
from sentilora.tables.labelled import LabelledTexts, labelled


def write(path: Path, content: str) -> str:
    path.write_text(content, "utf-8")
    return str(path)


@pytest.mark.parametrize("named", ["Review Text ", "review text", " REVIEW TEXT"])
def test_a_column_is_found_by_what_is_seen_of_its_name(tmp_path: Path, named: str) -> None:
    path = tmp_path / "excel.csv"
    path.write_text("Review Text ;Sentiment;Shop \nfine;pos;a\nbad;neg;b\n", "utf-8")
    found = read_labelled(str(path), Columns(named, "sentiment", "shop"))
    assert (found.texts, found.groups, found.columns) == (["fine", "bad"], ["a", "b"], ("Review Text ", "Sentiment"))
    with pytest.raises(DataError, match="no column 'Text': it has 'Review Text ', Sentiment, 'Shop '"):
        read_labelled(str(path), Columns("Text"))


def test_the_example_of_a_label_map_is_of_the_values_there(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("text,label\na,Positive\nb,NEG\nc,neutral\n", "utf-8")
    with pytest.raises(DataError, match='"Positive=positive,NEG=negative", which drops rows with other labels'):
        read_labelled(str(path))
    found = read_labelled(str(path), Columns(label_map="Positive=positive,NEG=negative"))  # type: ignore[arg-type]
    assert (len(found), found.dropped) == (2, {"labels that the map leaves out (neutral)": 1})


def test_a_csv_as_people_keep_it(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", 'id,Review,Sentiment\n1,"Two\nlines, and a ""quote""",pos\n2,Bad,Negative\n3,,neg\n'
    )
    data = read_labelled(path)
    assert data.texts == ['Two\nlines, and a "quote"', "Bad"]
    assert data.labels.tolist() == [1, 0]
    assert data.dropped == {"no text in column 'Review'": 1}
    assert data.describe() == (
        f"2 texts (1 negative, 1 positive) from {path}, columns 'Review' and 'Sentiment'; "
        "1 rows dropped: no text in column 'Review'"
    )


def test_parquet_with_named_columns(tmp_path: Path) -> None:
    table = pa.table({"body": ["a b", "c d"], "stars": [True, False], "film": [7, 8], "text": [1, 2]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    data = read_labelled(str(tmp_path / "a.parquet"), Columns("body", "stars", "film"))
    assert (data.texts, data.labels.tolist(), data.groups) == (["a b", "c d"], [1, 0], ["7", "8"])


def test_the_official_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("neg", "pos", "unsup"):
            folder = tmp_path / "aclImdb" / split / label
            folder.mkdir(parents=True)
            (folder / "0_3.txt").write_text(f"{split} {label}", "utf-8")
    assert read_labelled(str(tmp_path / "aclImdb")).texts == ["train neg", "train pos"]
    assert read_labelled(str(tmp_path / "aclImdb" / "test")).texts == ["test neg", "test pos"]
    assert read_labelled(str(tmp_path / "aclImdb")).labels.tolist() == [0, 1]
    (tmp_path / "aclImdb" / "train" / "neg" / "1_1.txt").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"1_1\.txt cannot be read: No such file"):
        read_labelled(str(tmp_path / "aclImdb"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read: it is empty"),
        ("text,label\n", "holds no row with a text and a label"),
        ("words,label\na,0\n", "no column for the texts (it has words, label): name it with --text-column"),
        ("text,moons\na,0\n", "no column for the labels (it has text, moons): name it with --label-column"),
        ("text,label\ngood,1\nbad,0\nhm,maybe\n", "row 3, column 'label': 'maybe' is not a label"),
        ("text,stars\ngood,5\nbad,1\n", "row 1, column 'stars': '5' is not a label; use 0/1"),
        ("text,stars\ngood,5\nbad,1\n", 'say what is what, such as --label-map "1-2=negative,4-5=positive"'),
        ("text,label\ngood,1\nbad,\n", "holds only positive texts"),
        (
            f"text,label\ngood,1\n{'bad ' * 2_600_000},0\n",
            "row 2 has a cell of more than 2,097,152 characters: close the quotes",
        ),
        (f"text,label\ngood,{'x' * 100}\n", f"'{'x' * 40}' is not a label"),
        ("text,label\ngood,1\nfine,1\n", "holds only positive texts: both labels are needed"),
        ("text,label\ngood,1\na,b,c\n", "row 2 has 3 cells, where the header has 2: put texts with ',' in quotes"),
        ('text,label\ngood,1\n"a,0\nb,1\n', "row 2 is malformed (unexpected end of data): close the quotes"),
        ("text,label\ngood,1\n ,0\n", "only positive texts: both labels are needed; 1 rows dropped: no text in"),
        ("text,label\n ,1\n ,0\n", "no row with a text and a label; 2 rows dropped: no text in column 'text'"),
        ('text,label\n"Great,1\n"Bad,0\nfine,1\n', "row 1 is malformed (',' expected after '\"'): close the quotes"),
        (
            "A long first review,1\nA second,0\n",
            "it has A long first review, 1): name it with --text-column; the first",
        ),
        (f"{','.join(f'q{n}' for n in range(400))}\n", "q10, q11 and 388 more)"),
        ('text,label\ngood,"a\nb"\n', "'a b' is not a label"),
        ("text,label\rgood,1\rbad,0\r", "its lines end as on old Macs (CR): save it with"),
        ("text,text,label\na,b,1\nc,d,0\n", "more than one column called text: rename one"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(DataError) as caught:
        read_labelled(path)
    assert message in str(caught.value)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\nbad,0\ncaf\xe9,1\n")
    with pytest.raises(DataError, match="row 2 is not UTF-8: save it as UTF-8"):
        read_labelled(str(tmp_path / "a.csv"))
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "bad", "label": 0}\n{"text": "caf\xe9", "label": 1}\n')
    with pytest.raises(DataError, match="row 2 is not UTF-8: save it as UTF-8"):
        read_labelled(str(tmp_path / "a.jsonl"))
    (tmp_path / "label.csv").write_bytes("text,label\nbad,neg\ngood,pos\nfine,p\xf6s\n".encode("latin-1"))
    with pytest.raises(DataError, match="row 3 is not UTF-8: save it as UTF-8"):
        read_labelled(str(tmp_path / "label.csv"))
    (tmp_path / "header.csv").write_bytes("text,label,r\xe9gion\nbad,0,a\ngood,1,b\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"header\.csv: the header is not UTF-8: save it as UTF-8"):
        read_labelled(str(tmp_path / "header.csv"))
    (tmp_path / "wide.csv.gz").write_bytes(gzip.compress("text,label\nbad,0\ngood,1\n".encode("utf-16")))
    with pytest.raises(DataError, match=r"wide\.csv\.gz cannot be read: it is UTF-16: save it as UTF-8"):
        read_labelled(str(tmp_path / "wide.csv.gz"))
    labels = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"1\xe9"))
    with pytest.raises(DataError, match="row 2: column 'label' is not UTF-8 text"):
        read_labelled(pa.table({"text": ["good", "bad"], "label": labels}))
    (tmp_path / "lines.txt").write_bytes(b"good\ncaf\xe9\n")
    with pytest.raises(DataError, match=r"lines\.txt is not UTF-8 \(byte 8\)"):
        read_texts(tmp_path / "lines.txt")


@given(st.integers(1, 300), st.booleans())
def test_a_quote_that_is_never_closed_takes_no_row_with_it(broken: int, label_first: bool) -> None:
    texts = [f"film {n}" for n in range(1, 301)]
    texts[broken - 1] = f'"{texts[broken - 1]}'
    rows = [(n % 2, text) if label_first else (text, n % 2) for n, text in enumerate(texts)]
    header = "label,text" if label_first else "text,label"
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.csv", "\n".join([header, *(f"{first},{second}" for first, second in rows)]))
        with pytest.raises(DataError, match=rf"row {broken} is malformed .*: close the quotes"):
            read_labelled(path)


def test_cells_are_texts_as_written(tmp_path: Path) -> None:
    data = read_labelled(write(tmp_path / "a.csv", "text,label,shop\n007,1,01\n2024-01-01,0,02\ntrue,1,\n"))
    assert data.texts == ["007", "2024-01-01", "true"]
    grouped = read_labelled(str(tmp_path / "a.csv"), Columns(group="shop"))
    assert (grouped.groups or [])[:2] == ["01", "02"]
    assert read_labelled(write(tmp_path / "one.csv", "text,label\n\ngood,1\n\nbad,0\n\n")).rows.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\x14\x00\x06", "it is an Excel workbook or another archive: give it the ending .xlsx"),
        (gzip.compress(b"text,label\ngood,1\n"), "it is compressed with gzip: let its name end in .gz"),
        (b"PAR1\x15\x04", "it is Parquet: give it the ending .parquet"),
    ],
)
def test_a_file_of_another_kind_than_its_name_says(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_labelled(str(tmp_path / name))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_ending_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "a.CSV.GZ").write_bytes(gzip.compress(b"text,label\ngood,1\nbad,0\n"))
    assert read_labelled(str(tmp_path / "a.CSV.GZ")).texts == ["good", "bad"]


@pytest.mark.parametrize("source", ["data/reviews.json", "./missing", "~/missing", "word " * 100])
def test_what_is_no_name_of_a_data_set_is_not_looked_for_on_the_hub(source: str) -> None:
    with pytest.raises(DataError, match="no data called"):
        read_labelled(source)


def test_a_path_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "a.csv", "text,label\ngood,1\nbad,0\n")
    assert read_labelled("~/a.csv").texts == ["good", "bad"]


@pytest.mark.parametrize("source", ["nothing.csv", "nothing", "nothing.parquet"])
def test_a_source_that_is_not_there(source: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no "):
        read_labelled(str(tmp_path / source))


def test_a_folder_without_reviews(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not an aclImdb folder"):
        read_labelled(str(tmp_path))


@st.composite
def tables(draw: st.DrawFn) -> LabelledTexts:
    size = draw(st.integers(20, 80))
    texts = draw(st.lists(st.integers(0, 60).map(str), min_size=size, max_size=size))
    groups = draw(st.none() | st.lists(st.integers(0, 40).map(str), min_size=size, max_size=size))
    labels = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size).filter(lambda ids: 0 < sum(ids) < size))
    return labelled(texts, labels, "a test", groups)


@given(tables(), st.floats(0.1, 0.6), st.integers(0, 2**32 - 1))
def test_a_split_shares_no_text_and_no_group(data: LabelledTexts, fraction: float, seed: int) -> None:
    try:
        split = split_labelled(data, fraction, seed)
    except DataError as error:
        assert "--validation" in str(error)
        return
    assert len(split.train) + len(split.validation) == len(data)
    assert not set(split.train.texts) & set(split.validation.texts)
    if data.groups is not None:
        assert not set(split.train.groups) & set(split.validation.groups)
    for part in (split.train, split.validation):
        assert set(part.labels.tolist()) == {0, 1}
    again = split_labelled(data, fraction, seed)
    assert again.validation.texts == split.validation.texts


def test_a_split_is_stratified_and_of_the_size_asked_for() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(5000) < 0.3).astype(int)
    split = split_labelled(labelled([str(row) for row in range(5000)], labels, "a test"), 0.2, seed=1)
    assert len(split.validation) == pytest.approx(1000, abs=3)
    assert split.validation.labels.mean() == pytest.approx(labels.mean(), abs=0.002)
    other = split_labelled(labelled([str(row) for row in range(5000)], labels, "a test"), 0.2, seed=2)
    assert other.validation.texts != split.validation.texts


def test_texts_that_differ_in_blanks_stay_on_one_side() -> None:
    texts = [f"text {n}" for n in range(40)]
    texts += [f" text  {n}\r\n" for n in range(40)]
    split = split_labelled(labelled(texts, [n % 2 for n in range(80)], "a test"), 0.25, seed=0)
    assert not {" ".join(text.split()) for text in split.train.texts} & {
        " ".join(text.split()) for text in split.validation.texts
    }
    assert "40 repeated texts on the side of their first" in split.how


def test_what_was_dropped_is_said_once(tmp_path: Path) -> None:
    rows = [f"text {n},{n % 2}" for n in range(40)]
    path = write(tmp_path / "a.csv", "text,label\n" + "\n".join([*rows, ",1", "no label,"]) + "\n")
    split = split_labelled(read_labelled(path), 0.25, seed=0)
    train = subset(split.train, 10, seed=0)
    assert split.how == (
        "25.0% of 40 texts set aside for validation (seed 0); 1 rows dropped: no text in column 'text'; "
        "1 rows dropped: no label in column 'label'"
    )
    assert train.describe().endswith(f"from {path}; 20 rows dropped: beyond the limit of 10")
    assert split.validation.describe().endswith(path)
    assert subset(read_labelled(path), 10, seed=0).dropped == {
        **read_labelled(path).dropped,
        "beyond the limit of 10": 30,
    }


@given(tables(), st.integers(2, 100), st.integers(0, 100))
def test_a_subset_keeps_the_labels_shares(data: LabelledTexts, limit: int, seed: int) -> None:
    try:
        part = subset(data, limit, seed)
    except DataError as error:
        assert "raise the limit" in str(error)
        return
    assert len(part) == min(limit, len(data))
    assert abs(part.labels.sum() - len(part) * data.labels.mean()) <= 1
    assert subset(data, limit, seed).texts == part.texts


def test_rows_without_a_group_belong_with_no_other(tmp_path: Path) -> None:
    rows = [f"text {n},{n % 2},{'' if n % 4 else 'film'}" for n in range(80)]
    path = write(tmp_path / "a.csv", "text,label,film\n" + "\n".join(rows) + "\n")
    split = split_labelled(read_labelled(path, Columns(group="film")), 0.25, seed=0)
    assert len(split.validation) >= 18


def test_columns_are_for_files(tmp_path: Path) -> None:
    for label in ("neg", "pos"):
        (tmp_path / label).mkdir()
    for source, columns in (
        ("bundled", Columns(text="text")),
        ("bundled:test", Columns(label="label", group="domain")),
        (str(tmp_path), Columns(group="domain")),
    ):
        with pytest.raises(DataError, match="are for files"):
            read_labelled(source, columns)


def test_the_bundled_reviews_are_grouped_by_domain() -> None:
    assert read_labelled("bundled").groups is None
    assert {"films", "apps"} <= set(read_labelled("bundled:test", Columns(group="domain")).groups or [])
    with pytest.raises(DataError, match="no column 'country'"):
        read_labelled("bundled", Columns(group="country"))


def test_lines_end_where_people_end_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("good\x85 film\u2028so good\r\nbad\x0c one\n".encode())
    assert read_texts(tmp_path / "a.txt") == ["good\x85 film\u2028so good", "bad\x0c one"]


@pytest.mark.parametrize("name", ["a.JSON", "a.xls", "a.txt.gz"])
def test_a_table_is_not_taken_for_lines(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="tables end in"):
        read_texts(Path(write(tmp_path / name, "text\tlabel\n")))


def test_texts_from_files(tmp_path: Path) -> None:
    assert read_texts(Path(write(tmp_path / "b.CSV", "review,x\none,1\ntwo,2\n"))) == ["one", "two"]
    assert read_texts(Path(write(tmp_path / "a.txt", "one\n\ntwo\n"))) == ["one", "", "two"]
    assert read_texts(Path(write(tmp_path / "a.csv", "review,x\none,1\ntwo,2\n"))) == ["one", "two"]
    with pytest.raises(DataError, match="row 2"):
        read_texts(Path(write(tmp_path / "b.csv", "review,x\none,1\n,2\n")))
