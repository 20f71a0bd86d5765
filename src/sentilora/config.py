"""Settings as data classes: one source for YAML, command-line flags, `--help`, Python, and the documentation.

Each field states its type, its range and its meaning once, in its annotation. The annotations are read at run time,
so they keep to what Python 3.9 can evaluate.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Any, Literal, Optional, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import Meta

from sentilora.errors import ConfigError
from sentilora.labels import parse_mapping
from sentilora.paths import local_path

Truncation = Literal["head", "tail", "head+tail"]
DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]
PrecisionChoice = Literal["auto", "fp32", "bf16", "fp16"]
BatchingChoice = Literal["auto", "packed", "padded"]
EngineChoice = Literal["local", "ray"]
CHUNK_ROWS = 512  # scored and kept at a time: a killed job scores at most these again
MAX_CHARACTERS = 1_000_000  # of one text; a longer one is refused rather than read to its end for 512 tokens

_AtLeastOne = Annotated[int, Meta(ge=1)]
_AtLeastTwo = Annotated[int, Meta(ge=2)]
_Minutes = Annotated[float, Meta(gt=0)]
_LearningRate = Annotated[float, Meta(gt=0, le=1)]


class LoraSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shape of the adapter (Hu et al., 2021, LoRA, section 4)."""

    rank: Annotated[int, Meta(ge=1, le=1024, description="Rank of the low-rank update.")] = 4
    alpha: Annotated[float, Meta(gt=0, description="The update is scaled by alpha / rank.")] = 32.0
    dropout: Annotated[float, Meta(ge=0, lt=1, description="Dropout on the input of the update.")] = 0.01
    target_modules: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="Linear layers that get an update, by name: q_lin, k_lin, v_lin, out_lin, lin1, lin2.",
        ),
    ] = ("q_lin",)


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a training makes."""

    base: Annotated[
        str, Meta(description="The frozen encoder: 'embedded', a Hub id, or a folder with a DistilBERT model.")
    ] = "distilbert-base-uncased"
    data: Annotated[
        str,
        Meta(
            description="Training data: 'bundled', 'imdb', an aclImdb folder, a .csv, .tsv, .jsonl, .parquet or .xlsx "
            "file, or a data set of the Hub as owner/name[/config][:split]."
        ),
    ] = "imdb"
    validation: Annotated[
        Optional[str],
        Meta(description="Validation data, named like the training data; by default a part of the training data."),
    ] = None
    validation_fraction: Annotated[
        float, Meta(gt=0, lt=1, description="Share of the data to validate on when no validation data are named.")
    ] = 0.2
    text_column: Annotated[Optional[str], Meta(description="Column with the texts, if not under a usual name.")] = None
    label_column: Annotated[Optional[str], Meta(description="Column with the labels, if not under a usual name.")] = (
        None
    )
    label_map: Annotated[
        Optional[dict[str, str]],
        Meta(
            description="What the labels mean, such as '1-2=negative,4-5=positive'; rows with other labels are dropped."
        ),
    ] = None
    group_column: Annotated[
        Optional[str],
        Meta(description="Rows that share a value here (a film, a customer) stay on one side of the split."),
    ] = None
    limit: Annotated[
        Optional[_AtLeastTwo], Meta(description="Train on a seeded subset of this many texts, with the labels' shares.")
    ] = None
    validation_limit: Annotated[
        Optional[_AtLeastTwo], Meta(description="Validate on a seeded subset of this many texts.")
    ] = None
    lora: LoraSettings = LoraSettings()
    epochs: Annotated[int, Meta(ge=1, le=1000, description="Passes over the training texts.")] = 4
    batch_size: Annotated[int, Meta(ge=1, le=65536, description="Texts in one optimiser step.")] = 16
    learning_rate: Annotated[
        float, Meta(gt=0, le=1, description="Peak learning rate of AdamW; larger gradients are scaled down to norm 1.")
    ] = 1e-3
    head_learning_rate: Annotated[
        Optional[_LearningRate], Meta(description="Peak learning rate of the head, if not the adapter's.")
    ] = None
    weight_decay: Annotated[float, Meta(ge=0, lt=1, description="Decoupled weight decay of AdamW.")] = 0.0
    warmup: Annotated[float, Meta(ge=0, lt=1, description="Share of the steps over which the rate rises.")] = 0.0
    schedule: Annotated[
        Literal["linear", "cosine", "polynomial", "inverse_sqrt", "constant"],
        Meta(description="How the learning rate falls after the warm-up, as Transformers names it."),
    ] = "linear"
    label_smoothing: Annotated[
        float, Meta(ge=0, lt=1, description="Share of each label's weight that is spread over all labels.")
    ] = 0.0
    class_weights: Annotated[
        str,
        Meta(
            pattern=r"^(none|auto|[0-9.]+,[0-9.]+)$",
            description="What a text of each label counts: none, auto (labels count alike, however many texts have "
            "them), or two numbers, negative's first, such as 1,3.",
        ),
    ] = "none"
    gradient_accumulation_steps: Annotated[
        int,
        Meta(
            ge=1,
            le=65536,
            description="Parts into which a step is split to save memory; only what dropout drops differs then.",
        ),
    ] = 1
    best_by: Annotated[
        Optional[Literal["accuracy", "f1", "loss"]],
        Meta(description="Keep the epoch with the best validation by this, instead of the last."),
    ] = None
    early_stopping: Annotated[
        Optional[_AtLeastOne],
        Meta(description="End after this many epochs without a better validation; needs best_by."),
    ] = None
    report_to: Annotated[
        tuple[str, ...], Meta(description="Where to report as Transformers does, such as tensorboard or wandb.")
    ] = ()
    max_length: Annotated[int, Meta(ge=8, le=512, description="Most tokens of a text, [CLS] and [SEP] included.")] = 256
    truncation: Annotated[
        Truncation, Meta(description="What is kept of a longer text: its head, its tail, or 1/4 head + 3/4 tail.")
    ] = "head"
    base_dropout: Annotated[
        float, Meta(ge=0, lt=1, description="Dropout of the frozen base's activations while training.")
    ] = 0.0
    attention_dropout: Annotated[
        float,
        Meta(ge=0, lt=1, description="Dropout of the frozen base's attention weights while training; it is slow."),
    ] = 0.0
    device: Annotated[DeviceChoice, Meta(description="Where to train; auto takes CUDA, then MPS, then the CPU.")] = (
        "auto"
    )
    precision: Annotated[
        PrecisionChoice, Meta(description="Arithmetic of the forward and backward pass; auto suits the device.")
    ] = "auto"
    batching: Annotated[
        BatchingChoice,
        Meta(
            description="How the texts of a step share it: packed end to end, or padded and grouped by length; "
            "auto packs on the CPU."
        ),
    ] = "auto"
    checkpoint_steps: Annotated[
        Optional[_AtLeastOne],
        Meta(description="Steps between checkpoints; by default a minute. One is written after each epoch, too."),
    ] = None
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="Seed of the split, the subset, the head and the order.")] = 0

    def __post_init__(self) -> None:
        """Refuse what no single setting's range can.

        Raises:
            ConfigError: Early stopping without a metric to stop by.
        """
        if self.early_stopping is not None and self.best_by is None:
            raise ConfigError("setting 'early_stopping': say with 'best_by' which metric is to get better")


class PretrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a pretraining makes of its texts; rates as Gururangan et al., 2020, appendix B."""

    base: Annotated[
        str, Meta(description="The encoder to go on from: 'embedded', a Hub id, or a folder with a DistilBERT model.")
    ] = "distilbert-base-uncased"
    text_column: Annotated[Optional[str], Meta(description="Column with the texts, if not under a usual name.")] = None
    epochs: Annotated[int, Meta(ge=1, le=1000, description="Passes over the texts.")] = 1
    max_steps: Annotated[Optional[_AtLeastOne], Meta(description="End after this many optimiser steps.")] = None
    minutes: Annotated[
        Optional[_Minutes],
        Meta(description="Take about this long at most: the steps are planned from the speed before the first."),
    ] = None
    max_length: Annotated[
        int, Meta(ge=8, le=512, description="Most tokens of a piece of text; longer texts are several pieces.")
    ] = 256
    batch_tokens: Annotated[int, Meta(ge=8, le=2**24, description="Most tokens in one optimiser step.")] = 8192
    mask_share: Annotated[float, Meta(gt=0, lt=1, description="Share of the tokens that are to be guessed.")] = 0.15
    learning_rate: Annotated[
        float, Meta(gt=0, le=1, description="Peak learning rate of AdamW; larger gradients are scaled down to norm 1.")
    ] = 5e-4
    weight_decay: Annotated[float, Meta(ge=0, lt=1, description="Decoupled weight decay of AdamW.")] = 0.01
    warmup: Annotated[
        float, Meta(ge=0, lt=1, description="Share of the steps over which the rate rises; then it falls linearly.")
    ] = 0.06
    device: Annotated[DeviceChoice, Meta(description="Where to train; auto takes CUDA, then MPS, then the CPU.")] = (
        "auto"
    )
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Meta(description="Arithmetic of the passes; auto suits the device.")
    ] = "auto"
    checkpoint_steps: Annotated[
        Optional[_AtLeastOne], Meta(description="Steps between checkpoints; by default two minutes.")
    ] = None
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="Seed of the order, the masks and a new head.")] = 0


_Config = TypeVar("_Config", TrainConfig, PretrainConfig)


@dataclass(frozen=True)
class Setting:
    """One leaf of a configuration, as the command line and the documentation show it.

    Attributes:
        path: Keys from the top of the configuration, such as `("lora", "rank")`.
        kind: The Python type of a value: `int`, `float`, `str`, `tuple` or `dict`.
        choices: The only values allowed, if there are such.
        default: The value when nothing is said.
        description: One sentence.
    """

    path: tuple[str, ...]
    kind: type
    choices: Optional[tuple[str, ...]]
    default: Any
    description: str

    @property
    def flag(self) -> str:
        """The command-line flag: `--lora-rank`."""
        return "--" + "-".join(self.path).replace("_", "-")


def settings_of(config: type[msgspec.Struct], prefix: tuple[str, ...] = ()) -> list[Setting]:
    """Every setting of a configuration class, nested ones included, in the order of its fields."""
    hints = get_type_hints(config, include_extras=True)
    settings: list[Setting] = []
    for field in msgspec.structs.fields(config):
        hint = hints[field.name]
        path = (*prefix, field.name)
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            settings += settings_of(hint, path)
            continue
        annotated, meta = get_args(hint)
        inner = _bare(annotated)
        choices = get_args(inner) if get_origin(inner) is Literal else None
        kind = str if choices else (get_origin(inner) or inner)
        settings.append(Setting(path, kind, choices, field.default, meta.description))
    return settings


def _bare(hint: Any) -> Any:
    """The type inside `Optional` and `Annotated`."""
    if get_origin(hint) is Union:
        return _bare(next(member for member in get_args(hint) if member is not type(None)))
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def recipe_names() -> list[str]:
    """Names of the packaged recipes."""
    folder = resources.files("sentilora") / "recipes"
    return sorted(entry.name[: -len(".yaml")] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_config(recipe: Optional[str] = None, overrides: Optional[Mapping[str, Any]] = None) -> TrainConfig:
    """The training configuration of a recipe, with some settings replaced.

    Args:
        recipe: Name of a packaged recipe, or path of a YAML file; None starts from the defaults.
        overrides: Nested like the YAML, such as `{"epochs": 5, "lora": {"rank": 8}}`; it wins over the recipe, whose
            validation texts go with its data.

    Raises:
        ConfigError: The recipe is unknown or not YAML, or a setting is unknown, of the wrong type or out of range.
    """
    settings = _read_recipe(recipe) if recipe is not None else {}
    if "data" in (overrides or {}):
        settings.pop("validation", None)  # which is of the recipe's own data
    _overlay(settings, overrides or {})
    if isinstance(settings.get("label_map"), str):  # as on the command line
        settings["label_map"] = parse_mapping(settings["label_map"])
    if isinstance(settings.get("label_map"), Mapping):  # YAML reads 1 as a number, and 1-2 as a text
        if any(isinstance(value, bool) for value in settings["label_map"]):
            raise ConfigError("setting 'label_map': YAML reads yes, no, on, off as true and false: put them in quotes")
        settings["label_map"] = {str(value): str(meaning) for value, meaning in settings["label_map"].items()}
    return _converted(settings, TrainConfig)


def load_pretrain_config(path: Optional[str] = None, overrides: Optional[Mapping[str, Any]] = None) -> PretrainConfig:
    """The pretraining configuration in a YAML file, or the defaults, with some settings replaced.

    Raises:
        ConfigError: The file is not readable or not YAML, or a setting is unknown, of the wrong type or out of range.
    """
    return _converted({**({} if path is None else _read_recipe(path)), **(overrides or {})}, PretrainConfig)


def checked(config: _Config) -> _Config:
    """A configuration that Python code made, which nothing has looked at yet.

    Raises:
        ConfigError: A setting is of the wrong type or out of range.
    """
    settings = msgspec.structs.asdict(config)
    for name, value in settings.items():
        if isinstance(value, msgspec.Struct):
            settings[name] = msgspec.structs.asdict(value)
    return _converted(settings, type(config))


def dump_config(config: Union[TrainConfig, PretrainConfig]) -> str:
    """The configuration as YAML that `load_config` or `load_pretrain_config` reads back to an equal one."""
    return yaml.safe_dump(msgspec.to_builtins(config), sort_keys=False)


def recipe_source(recipe: str) -> str:
    """The YAML of a packaged recipe, or of a file.

    Raises:
        ConfigError: There is neither, or the file is not UTF-8.
    """
    if recipe in recipe_names():
        return (resources.files("sentilora") / "recipes" / f"{recipe}.yaml").read_text("utf-8")
    try:
        return local_path(recipe).read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"recipe {recipe} is not UTF-8 text: save it as UTF-8") from None
    except OSError:
        names = ", ".join(recipe_names())
        near = difflib.get_close_matches(recipe, recipe_names(), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"no recipe and no readable file is called '{recipe}': {hint}choose one of {names}, or name a YAML file"
        ) from None


def _read_recipe(recipe: str) -> dict[str, Any]:
    source = recipe_source(recipe)
    try:
        settings = parse_yaml(source) or {}
    except (yaml.YAMLError, ValueError) as error:  # the latter for 2024-99-99, which is no day
        raise ConfigError(f"recipe {recipe} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"recipe {recipe} must hold 'name: value' lines, not a {type(settings).__name__}")
    return settings


def parse_yaml(source: str) -> Any:
    """What YAML says, read as recipes are.

    Raises:
        yaml.YAMLError: It is none, or has a name twice.
        ValueError: A date is none.
    """
    return yaml.load(source, _RecipeLoader)  # noqa: S506 - a SafeLoader


class _RecipeLoader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as in YAML 1.2, and a name stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"'{twice}' is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


_RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _overlay(settings: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    for name, value in overrides.items():
        if name == "lora" and isinstance(value, Mapping) and isinstance(settings.get(name, {}), dict):
            settings[name] = {**settings.get(name, {}), **value}
        else:
            settings[name] = value


def _converted(settings: Mapping[str, Any], config: type[_Config]) -> _Config:
    _refuse_unknown(settings, config)
    try:
        return msgspec.convert(settings, config)
    except msgspec.ValidationError as error:
        raise ConfigError(_in_one_line(error, config)) from None


def _refuse_unknown(settings: Mapping[str, Any], config: type[msgspec.Struct]) -> None:
    known = [setting.path for setting in settings_of(config)]
    for path in _paths(settings):
        if not any(other[: len(path)] == path for other in known):
            raise ConfigError(f"unknown setting '{'.'.join(path)}': {_hint(path, known)}")


def _hint(path: tuple[str, ...], known: Sequence[tuple[str, ...]]) -> str:
    """What to write in place of an unknown setting."""
    dotted = tuple(path[0].split("."))  # as some write 'lora.rank'
    if dotted in known:
        return _nesting(dotted)
    near = _nearest(path, known)
    if near is None:
        return f"known are {', '.join(map('.'.join, known))}"
    question = f"did you mean '{'.'.join(near)}'?"
    return f"{question} {_nesting(near)}" if len(near) > len(path) else question


def _nesting(path: tuple[str, ...]) -> str:
    return f"nest it, as in {{{': {'.join(path)}: ...{'}' * len(path)}"


def _paths(settings: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each setting that is set."""
    for name, value in settings.items():
        path = (*prefix, str(name))
        if path == ("lora",) and isinstance(value, Mapping):
            yield from _paths(value, path)
        else:
            yield path


def _nearest(path: tuple[str, ...], known: Sequence[tuple[str, ...]]) -> Optional[tuple[str, ...]]:
    """What was meant: a setting of that name elsewhere, of those initials (lr), or written much alike."""
    name = "_".join(path)
    by_spelling: dict[str, tuple[str, ...]] = {}
    for each in known:
        spelt = "_".join(each)
        initials = "".join(word[0] for word in spelt.split("_"))
        for spelling in (spelt, each[-1], *([initials] if len(initials) > 1 and len(each) == 1 else [])):
            by_spelling.setdefault(spelling, each)
    close = [path[-1]] if path[-1] in by_spelling else difflib.get_close_matches(name, by_spelling, n=1)
    return by_spelling[close[0]] if close else None


def _in_one_line(error: msgspec.ValidationError, config: type[msgspec.Struct]) -> str:
    message, _, path = str(error).partition(" - at `$.")
    name = path.rstrip("`")
    if not name:
        return message
    choices = next((each.choices for each in settings_of(config) if ".".join(each.path) == name), None)
    return f"setting '{name}': {message[0].lower()}{message[1:]}" + (
        f"; choose {', '.join(choices)}" if choices else ""
    )
