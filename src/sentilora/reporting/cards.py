"""Model cards: the README in the folder of an adapter, a standalone model or a bundle, in the Hub's format."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from sentilora.artifacts import AbstentionPoint, Manifest, Training
from sentilora.labels import Labels
from sentilora.reporting import card_parts as parts
from sentilora.reporting.card_data import front_matter
from sentilora.reporting.places import short, without_places


@dataclass(frozen=True)
class Making:
    """What to type to make a folder of another one; of absolute paths only the last part, for a card is for others.

    Attributes:
        command: In a shell.
        python: The same as a Python call.
    """

    command: str
    python: str

    @classmethod
    def of(cls, verb: str, inputs: Sequence[str], output: str, **options: Optional[str]) -> Making:
        """`sentilora merge` of one folder or `sentilora export` of some; options that are None were not given."""
        inputs, output = [short(each) for each in inputs], short(output)
        given = {name: short(value) for name, value in options.items() if value is not None}
        flags = [part for name, value in given.items() for part in (f"--{name}", value)]
        function = {"merge": "sentilora.merge", "export": "sentilora.export.export"}[verb]
        source = inputs[0] if verb == "merge" else list(inputs)
        arguments = "".join(f", {name}={value!r}" for name, value in {"output": output, **given}.items())
        return cls(
            shlex.join(["sentilora", verb, *inputs, "--output", output, *flags]),
            f"import {function.rpartition('.')[0]}\n{function}({source!r}{arguments})",
        )


def adapter_card(manifest: Manifest) -> str:
    """Of an adapter."""
    manifest = without_places(manifest)
    kind = f"A LoRA adapter and a classification head for the base {parts.base_in_words(manifest.base)}"
    use = (
        parts.block(
            "python",
            'from sentilora import Classifier\nClassifier.load("path/of/this/folder")("A gorgeous, moving film.")',
        )
        + "\n\nIn place of the folder its name on the Hub will do, `owner/name`. "
        "Plain PEFT reads it too, `AutoPeftModelForSequenceClassification.from_pretrained(...)`, if it finds the "
        "base where `adapter_config.json` says. The temperature is not in the weights: there, divide the logits by "
        f"{manifest.temperature:.4g} for calibrated probabilities."
    )
    return _card(front_matter(manifest, "peft", "adapter"), manifest, kind, use, _making_of_training(manifest.training))


def merged_card(manifest: Manifest, making: Making, parity: str) -> str:
    """Of a standalone model.

    Args:
        manifest: Of the model.
        making: Of an adapter.
        parity: How far it answers from that adapter, in one line.
    """
    manifest = without_places(manifest)
    kind = f"A standalone DistilBERT classifier: an adapter folded into the base {parts.base_in_words(manifest.base)}"
    use = parts.block(
        "python",
        "from transformers import pipeline\n"
        'pipeline("text-classification", model="path/of/this/folder")("A gorgeous, moving film.")',
    )
    made = f"{_making_of_training(manifest.training)}\n\nThen merged; {parity}.\n\n{_typed(making)}"
    return _card(front_matter(manifest, "transformers", "finetune"), manifest, kind, use, made)


def bundle_card(manifest: Manifest, making: Making) -> str:
    """Of a bundle with one classifier."""
    manifest = without_places(manifest)
    kind = (
        f"A text classifier as an ONNX graph, computing in {manifest.quantisation}; it needs no PyTorch. "
        f"Base: {parts.base_in_words(manifest.base)}"
    )
    use = f"""In plain Python, with the packages onnxruntime, tokenizers and numpy, run in this folder:

{parts.block("python", parts.plain_onnx(manifest))}

Or with sentilora: `Classifier.load("path/of/this/folder")("A gorgeous, moving film.")`."""
    made = f"{_making_of_training(manifest.training)}\n\nThen exported; {parts.gate(manifest)}\n\n{_typed(making)}"
    return _card(front_matter(manifest, "onnx", "quantized"), manifest, kind, use, made)


def adapters_card(manifest: Manifest, adapters: Mapping[str, Manifest], making: Making) -> str:
    """Of a bundle with several adapters, by name, over one base."""
    manifest, adapters = without_places(manifest), {name: without_places(one) for name, one in adapters.items()}
    first, listed = next(iter(adapters)), ", ".join(f"`{name}`" for name in adapters)
    sections = [
        front_matter(manifest, "onnx", "quantized", adapters),
        f"# Text classifiers over one base: {parts.one_line(', '.join(adapters))}",
        f"One ONNX graph of the base {parts.base_in_words(manifest.base)}, computing in {manifest.quantisation}, and "
        f"the adapters {listed}, which are inputs of the graph. It needs no PyTorch.",
        "## How to use it",
        parts.block(
            "python",
            "from sentilora import Classifier\n"
            f'Classifier.load("path/of/this/folder", adapter="{first}")("A gorgeous, moving film.")',
        ),
        "## Licence",
        parts.licence(manifest.base),
    ]
    for name, adapter in adapters.items():
        made = f"{_making_of_training(adapter.training)}\n\nThen exported; {parts.gate(adapter)}"
        sections += [f"# {parts.one_line(name)}", *_about(adapter), "## How it was made", made]
    return _joined([*sections, "# How the bundle was made", _typed(making), *_notes(manifest)])


def _card(front: str, manifest: Manifest, kind: str, use: str, making: str) -> str:
    """The sections that every card of one classifier has."""
    training = manifest.training
    labels = ", ".join(f"{index} = {name}" for index, name in enumerate(manifest.labels))
    return _joined(
        [
            front,
            f"# {'Text classifier' if training is None else parts.one_line(training.name)}",
            f"{kind}. Its labels: {parts.one_line(labels)}.",
            "## How to use it",
            use,
            *_about(manifest),
            "## Licence",
            parts.licence(manifest.base),
            "## How it was made",
            making,
            *_notes(manifest),
        ]
    )


def _about(manifest: Manifest) -> list[str]:
    """What one classifier is for, was trained on, and is worth."""
    training = manifest.training
    sections = ["## What it is for, and its limits", parts.limits(manifest, Labels(manifest.labels))]
    if training is None:
        return [*sections, "## Training", "Nothing is recorded of its training."]
    return [
        *sections,
        "## Data",
        parts.data(training),
        "## Recipe",
        parts.recipe(training),
        "## How good it is",
        *([parts.measured(manifest)] if manifest.gate else []),
        parts.scores(training),
        "## Calibration",
        parts.calibration(manifest, training),
        *([parts.abstaining(manifest.abstention)] if _reaches(manifest.abstention) else []),
    ]


def _reaches(points: Iterable[AbstentionPoint]) -> bool:
    return any(point.precision >= parts.PRECISIONS[0] for point in points)


def _making_of_training(training: Optional[Training]) -> str:
    if training is None:
        return "Nothing is recorded of how it was trained."
    versions = ", ".join(f"{name} {version}" for name, version in training.versions.items())
    call = parts.block("python", f"import sentilora\n{training.python}")
    if training.command is None:
        how = f"Trained in Python, on a table, with\n\n{call}"
    else:
        how = f"Trained with\n\n{parts.block('sh', training.command)}\n\nor in Python with\n\n{call}"
    return f"{how}\n\nVersions: {versions}."


def _typed(making: Making) -> str:
    return f"{parts.block('sh', making.command)}\n\nor in Python\n\n{parts.block('python', making.python)}"


def _notes(manifest: Manifest) -> list[str]:
    """What was assumed or fell back, if anything."""
    if not manifest.notes:
        return []
    return ["Notes taken while making it:", "\n".join(f"- {parts.one_line(note)}" for note in manifest.notes)]


def _joined(sections: Iterable[str]) -> str:
    return "\n\n".join(sections) + "\n"
