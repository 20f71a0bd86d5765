from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentilora.config import TrainConfig, dump_config, load_config, recipe_names, settings_of
from sentilora.errors import ConfigError


@given(
    rank=st.integers(1, 64),
    rate=st.floats(1e-6, 1),
    limit=st.none() | st.integers(2, 10**6),
    truncation=st.sampled_from(["head", "tail", "head+tail"]),
    text_column=st.none() | st.text(),
)
def test_a_dumped_config_reads_back_equal(tmp_path_factory, rank, rate, limit, truncation, text_column) -> None:
    config = load_config(
        overrides={
            "lora": {"rank": rank},
            "learning_rate": rate,
            "limit": limit,
            "truncation": truncation,
            "text_column": text_column,
        }
    )
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(dump_config(config), "utf-8")
    assert load_config(str(path)) == config


def test_overrides_win_over_the_recipe_and_the_rest_stays() -> None:
    plain, changed = load_config("quickstart"), load_config("quickstart", {"lora": {"rank": 3}, "epochs": 9})
    assert (changed.lora.rank, changed.epochs) == (3, 9)
    assert changed.lora.alpha == plain.lora.alpha
    assert changed.base == plain.base == "embedded"


def test_a_recipes_validation_texts_go_with_its_data() -> None:
    assert load_config("quickstart").validation == "bundled:test"
    assert load_config("quickstart", {"data": "mine.csv"}).validation is None
    assert load_config("quickstart", {"data": "mine.csv", "validation": "bundled:test"}).validation == "bundled:test"


def test_every_packaged_recipe_loads() -> None:
    assert {"quickstart", "imdb-small", "imdb", "best"} <= set(recipe_names())
    for name in recipe_names():
        assert isinstance(load_config(name), TrainConfig)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rat": 1}, "unknown setting 'learning_rat': did you mean 'learning_rate'?"),
        ({"lora": {"rnk": 1}}, "unknown setting 'lora.rnk': did you mean 'lora.rank'?"),
        ({"lr": 1}, "unknown setting 'lr': did you mean 'learning_rate'?"),
        ({"rank": 1}, "unknown setting 'rank': did you mean 'lora.rank'? nest it, as in {lora: {rank: ...}}"),
        ({"lora_rank": 1}, "unknown setting 'lora_rank': did you mean 'lora.rank'? nest it, as in {lora: {rank: ...}}"),
        ({"truncation": "middle"}, "setting 'truncation': invalid enum value 'middle'; choose head, tail, head+tail"),
        ({"epochs": "many"}, "setting 'epochs': expected `int`, got `str`"),
        ({"epochs": 0}, "setting 'epochs': expected `int` >= 1"),
        ({"limit": 1}, "setting 'limit': expected `int` >= 2"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=settings)
    assert str(caught.value) == message


def test_a_label_map_is_replaced_as_a_whole_and_may_have_numbers_for_keys(tmp_path: Path) -> None:
    path = tmp_path / "stars.yaml"
    path.write_text("label_map: {1: negative, 4-5: positive}\n", "utf-8")
    assert load_config(str(path)).label_map == {"1": "negative", "4-5": "positive"}
    path.write_text("label_map: {no: negative, yes: positive}\n", "utf-8")
    with pytest.raises(ConfigError, match="put them in quotes"):
        load_config(str(path))
    path.write_text("label_map: {1: negative, 4-5: positive}\n", "utf-8")
    other = {"no": "negative", "yes": "positive"}
    assert load_config(str(path), {"label_map": other}).label_map == other
    path.write_text('label_map: "1-2=negative, 4-5=positive"\n', "utf-8")
    assert load_config(str(path)).label_map == {"1-2": "negative", "4-5": "positive"}
    assert load_config(overrides={"label_map": {1: 0, 5: 1}}).label_map == {"1": "0", "5": "1"}


@pytest.mark.parametrize("content", ["- a list", "a: b: c", "just text", "data: 2024-99-99"])
def test_a_recipe_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_config(str(path))


def test_a_recipe_in_another_encoding_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("data: cafés.csv", "latin-1")
    with pytest.raises(ConfigError, match=r"mine\.yaml is not UTF-8 text: save it as UTF-8"):
        load_config(str(tmp_path / "mine.yaml"))


def test_numbers_are_written_as_people_write_them_and_names_once(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("learning_rate: 1e-3\nweight_decay: 5E-2\n", "utf-8")
    assert load_config(str(recipe)) == TrainConfig(learning_rate=0.001, weight_decay=0.05)
    recipe.write_text("epochs: 3\nseed: 1\nepochs: 4\n", "utf-8")
    with pytest.raises(ConfigError, match="cannot be read as YAML: 'epochs' is there twice"):
        load_config(str(recipe))


def test_an_unknown_recipe_names_the_known() -> None:
    with pytest.raises(ConfigError, match="quickstart"):
        load_config("quikstart")


def test_the_tutorials_settings_are_the_defaults() -> None:
    config = TrainConfig()
    assert config.base == "distilbert-base-uncased"
    lora = config.lora
    assert (lora.rank, lora.alpha, lora.dropout, lora.target_modules) == (4, 32, 0.01, ("q_lin",))
    assert (config.batch_size, config.learning_rate) == (16, 1e-3)


def test_each_setting_has_a_flag_a_type_and_a_sentence() -> None:
    settings = settings_of(TrainConfig)
    assert {"--lora-target-modules", "--group-column", "--seed"} <= {setting.flag for setting in settings}
    assert len({setting.flag for setting in settings}) == len(settings)
    for setting in settings:
        assert setting.kind in (int, float, str, tuple, dict)
        assert setting.description.endswith(".")
        assert setting.default is None or isinstance(setting.default, setting.kind)


def test_a_dotted_name_is_told_how_to_be_nested() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'lora.rank': nest it, as in \{lora: \{rank: \.\.\.\}\}"):
        load_config(overrides={"lora.rank": 8})


def test_a_setting_like_no_other_is_told_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'lora.xyzzy': known are base, data, .*, lora.rank, "):
        load_config(overrides={"lora": {"xyzzy": 8}})
