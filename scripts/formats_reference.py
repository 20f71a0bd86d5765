"""The page on the formats on disk, from the classes that write them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from sentilora import artifacts
from sentilora.artifacts import Manifest
from sentilora.config import CHUNK_ROWS
from sentilora.scoring.job import SHARD_RECORD
from sentilora.scoring.journal import REJECTS, JournalEntry, ShardRecord
from sentilora.scoring.rows import ChunkRecord, Reject
from sentilora.training.pretraining import PretrainRecord
from sentilora.training.run import RunRecord

INTRODUCTION = """# Formats

Made from the classes that write them by `make docs`. All JSON is UTF-8. Weights are safetensors, never pickle. Every
file and folder is written under a temporary name, flushed to the disk and renamed: what has its name is complete.

## A run

What `sentilora train` leaves behind. Until it is finished it grows beside its place as `NAME.unfinished`.
"""

RUN = {
    f"{artifacts.ADAPTER_FOLDER}/": f"the adapter as PEFT writes it (`{artifacts.ADAPTER_CONFIG}`, "
    f"`{artifacts.ADAPTER_WEIGHTS}`), the tokenizer, `{artifacts.MANIFEST}`",
    artifacts.CONFIG_FILE: "the exact settings, which `sentilora train --recipe` takes",
    artifacts.METRICS_FILE: "the [run's record](#metricsjson)",
    artifacts.LOG_FILE: "a line of JSON for each logged step",
    artifacts.CURVE_FILE: "loss and accuracy, drawn",
    artifacts.REPORT_FILE: "the evaluation on the validation texts, as a page (with `sentilora[report]`)",
    artifacts.VALIDATION_FILE: "the validation texts and their labels",
    f"{artifacts.CHECKPOINT_FOLDER}/": "checkpoints, each an adapter that answers",
}

PRETRAINED = """
## A pretrained base

What `sentilora pretrain` writes: a base, as `--base` takes it, that plain Transformers loads as a
`DistilBertForMaskedLM`.
"""

BASE = {
    artifacts.WEIGHTS: "the encoder's weights, and those of the head for masked words",
    "config.json": "its shape, as Transformers writes it",
    artifacts.TOKENIZER: "the tokenizer, cleaning included",
    "tokenizer_config.json": "what Transformers keeps beside it",
    artifacts.PRETRAINING_RECORD: "the [base's record](#pretrainingjson)",
    artifacts.CONFIG_FILE: "the exact settings",
    artifacts.LOG_FILE: "a line of JSON for each step",
    artifacts.README: "a card for the Hub",
}

MODELS = f"""
## A merged model

What `sentilora merge` writes: a folder that plain Transformers loads (`config.json`, `{artifacts.WEIGHTS}`, the
tokenizer), and `{artifacts.MANIFEST}`. The temperature is folded into the last layer.

## A bundle

What `sentilora export` writes; it needs ONNX Runtime and no PyTorch.
"""

BUNDLE = {
    artifacts.GRAPH: "the graph; token ids `[1, n]` of one text in, logits out",
    artifacts.GRAPH_WEIGHTS: "its weights, without which it cannot be opened",
    artifacts.TOKENIZER: "the tokenizer, cleaning included",
    artifacts.MANIFEST: "the manifest",
    f"{artifacts.BUNDLE_ADAPTER_FOLDER}/NAME/": "in a bundle of several adapters, each one's "
    f"`{artifacts.BUNDLE_ADAPTER_WEIGHTS}` (float32 inputs of the graph; beside an int8 base the head's inner weight "
    f"is float16) and `{artifacts.MANIFEST}`",
    artifacts.README: "ten lines of Python that use it without sentilora",
}

MANIFEST = f"""
## {artifacts.MANIFEST}

Lies in every adapter, merged model and bundle. Format version {artifacts.FORMAT_VERSION}; a newer one is refused, and
so is a folder with a file whose sha256 differs.
"""

METRICS = f"""
## {artifacts.METRICS_FILE}

A run's record.
"""

PRETRAINING = f"""
## {artifacts.PRETRAINING_RECORD}

A pretrained base's record.
"""

SCORED = f"""
## Scored files

The input's columns, its rows but for those that could not be scored, and `sentiment`, `p_positive`, `confidence` and
`truncated`, with `_predicted` after a name that the input has already. What could not be scored is in
`OUTPUT{REJECTS}`, a line each; beside a shard lies `OUTPUT{SHARD_RECORD}`.
"""

JOURNAL = f"""
## The journal of a scoring

While `sentilora score` works, `OUTPUT.unfinished/` holds `journal.json` and, for each finished chunk of
{CHUNK_ROWS} rows, `NUMBER.part` (its rows in the output's format), `NUMBER.rejects` where there are some, and last
`NUMBER.json`, which makes the chunk count.
"""

SECTIONS: tuple[tuple[str, tuple[type, ...]], ...] = (
    (MANIFEST, (Manifest,)),
    (METRICS, (RunRecord,)),
    (PRETRAINING, (PretrainRecord,)),
    (SCORED, (Reject,)),
    (JOURNAL, (JournalEntry, ChunkRecord, ShardRecord)),
)


def formats() -> str:
    """Every format, with the fields of its JSON."""
    parts = [INTRODUCTION, _holds(RUN), PRETRAINED, _holds(BASE), MODELS, _holds(BUNDLE)]
    shown: dict[type, None] = {}
    for prose, kinds in SECTIONS:
        parts.append(prose)
        for kind in kinds:
            parts += [_table(each) for each in _parts(kind) if each not in shown]
            shown.update(dict.fromkeys(_parts(kind)))
    return "".join(parts)


def _parts(kind: Any) -> list[type]:
    """A class and those that its fields are made of, each once."""
    if not (isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind))):
        return [part for argument in get_args(kind) for part in _parts(argument)]
    inner = [part for hint in get_type_hints(kind).values() for part in _parts(hint)]
    return list(dict.fromkeys([kind, *inner]))


def _holds(contents: Mapping[str, str]) -> str:
    rows = "".join(f"| `{name}` | {what} |\n" for name, what in contents.items())
    return f"\n| in the folder | holds |\n|---|---|\n{rows}"


def _table(kind: type) -> str:
    documentation = inspect.cleandoc(kind.__doc__ or "")
    meanings = _meanings(documentation)
    hints = get_type_hints(kind)
    is_struct = issubclass(kind, msgspec.Struct)
    names = kind.__struct_fields__ if is_struct else [field.name for field in dataclasses.fields(kind)]
    summary = documentation.partition("\n\n")[0].replace("\n", " ")
    lines = ["", f"### {kind.__name__}", "", summary, "", "| field | type | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {_kind(hints[name])} | {meanings.get(name, '')} |" for name in names]
    return "\n".join(lines) + "\n"


def _meanings(documentation: str) -> dict[str, str]:
    """The attributes that a docstring in Google's style describes."""
    _, _, attributes = documentation.partition("Attributes:\n")
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, flags=re.M)
    return {name: " ".join(text.split()) for name, text in entries}


def _kind(annotation: Any) -> str:
    """A type as JSON has it, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Union:
        return " or ".join(_kind(each) for each in arguments)
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin in (tuple, list):
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return f"object of {_kind(arguments[1])}"
    plain = {str: "string", int: "integer", float: "number", bool: "true or false", bytes: "base64", type(None): "null"}
    return plain.get(annotation) or str(annotation.__name__)
