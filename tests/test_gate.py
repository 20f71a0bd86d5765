"""The texts that a quantised graph is judged on: unseen, and those of the published figures chose nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import sentilora
from sentilora.artifacts import open_model, read_manifest
from sentilora.errors import DataError
from sentilora.export import export
from sentilora.export.others import other_texts
from sentilora.modeling.merging import merge
from sentilora.notes import Notes
from sentilora.tables import LabelledTexts


def test_the_figures_are_of_texts_that_chose_nothing(
    run: sentilora.Run, sure_texts: Path, tmp_path: Path, reviews: LabelledTexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text(sure_texts.read_text("utf-8") * 2 + "\n" + "\n".join(_lines(reviews.texts[:120])) + "\n", "utf-8")
    monkeypatch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.2)
    monkeypatch.setattr("sentilora.export.gate.LABELS_CHANGED", 0.2)
    exported = export([run.folder], tmp_path / "bundle", unlabelled=texts)
    gate = read_manifest(exported.folder).gate
    assert (gate["choosing"], gate["unlabelled"]) == (40, 40)
    assert gate["changed"] == exported.changes["tiny"].changed
    notes = "\n".join(read_manifest(exported.folder).notes)
    assert "120 texts, trained or validated on, are not used to judge int8" in notes
    assert "int8 is judged on 80 other texts, 2,000 are wanted" in notes
    trainings = {"tiny": open_model(run.folder).manifest.training}
    chosen, again = (other_texts(texts, (), trainings, Notes()) for _ in range(2))
    assert chosen == again
    parts = [set(_lines(part)) for part in (chosen.choosing, chosen.held_back, chosen.ranges)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 80 + 128
    assert not (parts[0] | parts[1]) & set(_lines(reviews.texts[:120]))


def test_the_bundled_reviews_judge_what_was_not_trained_on_them(
    run: sentilora.Run, tmp_path: Path, reviews: LabelledTexts
) -> None:
    notes = Notes()
    trained = open_model(run.folder).manifest.training
    others = other_texts(None, (), {"tiny": trained}, notes)
    judging = {*others.choosing, *others.held_back}
    assert len(judging) == len(others.choosing) + len(others.held_back) > 2000
    assert not judging & set(reviews.texts[:120])
    bundled = msgspec.structs.replace(trained, data="bundled")
    others = other_texts(None, sentilora.read_labelled("bundled:test").texts[:100], {"tiny": bundled}, notes)
    assert len(others.choosing) == len(others.held_back) == 150
    assert not {*others.choosing, *others.held_back} & set(reviews.texts)
    assert len(others.ranges) == 128
    other_texts(None, sentilora.read_labelled("bundled:test").texts, {"quick": bundled}, notes)
    assert "trained or validated on, as are all but 0 of the bundled reviews" in list(notes)[-1]
    other_texts(None, (), {"gone": msgspec.structs.replace(trained, data="gone.csv"), "alien": None}, notes)
    assert any("gone: the training texts cannot be read again (no file at gone.csv)" in note for note in notes)
    assert any("alien: the training texts are not known" in note for note in notes)
    (tmp_path / "few.txt").write_text("\none text\none  text\n", "utf-8")
    with pytest.raises(DataError, match=r"few\.txt holds 1 texts"):
        export([run.folder], tmp_path / "bundle", unlabelled=tmp_path / "few.txt")


def _lines(texts: list[str]) -> list[str]:
    return [" ".join(text.split()) for text in texts]


def test_validation_texts_that_are_not_kept_are_said_to_be_ours(
    run: sentilora.Run, sure_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.2)
    monkeypatch.setattr("sentilora.export.gate.LABELS_CHANGED", 0.2)
    merge(run.folder, tmp_path / "alone")
    for source, said in ((tmp_path / "alone", True), (run.adapter, False)):
        exported = export([source], tmp_path / "bundle", unlabelled=sure_texts, overwrite=True)
        notes = read_manifest(exported.folder).notes
        assert any("alone keeps no validation texts" in note and "bundled:test" in note for note in notes) == said
