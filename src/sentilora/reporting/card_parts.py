"""The sections of a model card, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from sentilora.analysis.metrics import measure_name
from sentilora.artifacts import AbstentionPoint, BaseReference, Manifest, Training
from sentilora.inference.abstention import lowest_reaching
from sentilora.labels import Labels
from sentilora.reporting.card_data import ENGLISH, base_on_hub, licence_of

PRECISIONS = (0.9, 0.95, 0.99)  # worth a line each, where one can be had
_CUT = {"head": "its beginning is read", "tail": "its end is read", "head+tail": "its beginning and its end are read"}
_PLAIN_ONNX = """import numpy, onnxruntime, tokenizers

tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx")
ids = tokenizer.encode("A gorgeous, moving film.").ids  # at most {max_length}; of longer texts keep `{truncation}`
(logits,) = session.run(["logits"], {{"input_ids": numpy.array([ids], numpy.int64)}})  # one text a run, unpadded
shares = numpy.exp(logits[0] - logits[0].max())
print(dict(zip({labels}, (shares / shares.sum()).tolist())))"""


def block(language: str, source: str) -> str:
    """A fenced block of code; the fence is longer than any that the source holds."""
    fence = "`" * (1 + max([2, *(len(run) for run in re.findall("`+", source))]))
    return f"{fence}{language}\n{source}\n{fence}"


def one_line(text: str) -> str:
    """Text that someone else chose, such as a file's name, with nothing that Markdown or HTML would take for itself."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in " ".join(text.split()))


def plain_onnx(manifest: Manifest) -> str:
    """A program that runs a bundle without sentilora."""
    return _PLAIN_ONNX.format(
        max_length=manifest.max_length, truncation=manifest.truncation, labels=list(manifest.labels)
    )


def base_in_words(base: BaseReference) -> str:
    """The base's name, and what tells it from others of that name."""
    revision = "" if base.revision is None else f", revision `{base.revision}`"
    published = base_on_hub(base)
    name = "a DistilBERT of the author's own" if published is None else f"`{published}`"
    embedded = " with DistilBERT's names for its parts" if base.id == "embedded" else ""
    return f"{name}{embedded} (weights sha256 `{base.sha256}`{revision})"


def limits(manifest: Manifest, labels: Labels) -> str:
    """What the model is for, and what it is not."""
    training = manifest.training
    known = None if training is None or training.data is None else ENGLISH.get(training.data)
    texts = f"{known}, and texts like them" if known else "texts of the language and the kind that it was trained on"
    names = f"{', '.join(labels.names[:-1])} and {labels.names[-1]}"
    lines = [f"It sorts {texts} into {one_line(names)}. What it makes of other texts was not measured."]
    if labels.positive is not None and len(labels) == 2:
        lines.append("It knows no neutral: a mixed or factual text is called one of the two all the same.")
    lines += [
        f"Of a text longer than {manifest.max_length} tokens only {_CUT[manifest.truncation]}.",
        "It may repeat prejudices of its base and of its training texts. Do not decide about a person by it.",
    ]
    if training is not None:
        chosen = "the temperature" if training.settings.get("best_by") is None else "the epoch and the temperature"
        lines.append(
            f"Its figures are of the validation texts, by which {chosen} was chosen, and which come from where the "
            "training texts come from: expect somewhat less elsewhere, and measure it on texts of your own."
        )
    return "\n".join(f"- {line}" for line in lines)


def data(training: Training) -> str:
    """What was read, dropped and set aside."""
    return "\n".join(
        [
            f"- Trained on {one_line(training.texts)}.",
            f"- Validated on {one_line(training.validation)}.",
            f"- Split: {one_line(training.split)}.",
            f"- Encoding of the training texts: {one_line(training.encoding)}.",
        ]
    )


def recipe(training: Training) -> str:
    """Every setting, and how the training went."""
    settings = yaml.safe_dump(training.settings, sort_keys=False, allow_unicode=True).rstrip()
    return "\n\n".join(
        [f"{training.course}. All settings, as `sentilora train --recipe FILE` reads them:", block("yaml", settings)]
    )


def scores(training: Training) -> str:
    """Every measure of the validation texts with its interval."""
    rows = [
        f"| {measure_name(name)} | {score.value:.3f} | {score.low:.3f} to {score.high:.3f} |"
        for name, score in training.scores.items()
    ]
    return "\n".join(
        [
            "On the validation texts, with 95% intervals (Wilson's of shares and F1; else bootstrap, 1,000 resamples):",
            "",
            "| measure | value | 95% interval |",
            "|---|---:|---:|",
            *rows,
        ]
    )


def calibration(manifest: Manifest, training: Training) -> str:
    """The temperature, what it did, and where it is."""
    rows = [
        f"| {measure_name(name)} | {training.uncalibrated[name]:.4f} | {value:.4f} |"
        for name, value in training.calibrated.items()
    ]
    place = (
        "`sentilora.json` keeps it, and sentilora divides the logits by it"
        if manifest.kind == "adapter"
        else "the weights of the classifier layer hold it"
    )
    return "\n".join(
        [
            f"The temperature is {training.temperature:.4g}, fitted on the validation texts: {place}.",
            "",
            "| on the validation texts | before | after |",
            "|---|---:|---:|",
            *rows,
        ]
    )


def abstaining(points: Sequence[AbstentionPoint]) -> str:
    """What a wanted precision costs."""
    rows = []
    for precision in PRECISIONS:
        least = lowest_reaching(precision, points)
        if least is not None:
            rows.append(f"| {precision:.0%} | {least.confidence:.3f} | {least.coverage:.1%} | {_right_of(least)} |")
    return "\n".join(
        [
            "Answering only where it is sure enough (`--precision`):",
            "",
            "| precision wanted | confidence it takes | share of the validation texts answered | right, of those |",
            "|---:|---:|---:|---|",
            *rows,
        ]
    )


def _right_of(point: AbstentionPoint) -> str:
    """The precision, and how far it can be trusted."""
    if point.texts is None or point.at_least is None:
        return f"{point.precision:.1%}"
    return f"{point.precision:.1%} of {point.texts:,}; {point.at_least:.1%} may be the truth"


def gate(manifest: Manifest) -> str:
    """How far the fp32 graph is from the model, and the quantised answers from its."""
    return f"the fp32 graph's logits equal PyTorch's to {manifest.gate['fp32_difference']:.1g}. {_quantised(manifest)}"


def measured(manifest: Manifest) -> str:
    """What was measured on the bundle itself, and that all else was not."""
    return (
        f"Measured on this bundle: {_quantised(manifest)} All other figures here were measured in fp32, on the model "
        "that the bundle was made of."
    )


def _quantised(manifest: Manifest) -> str:
    found = manifest.gate
    changed = f"{found['changed']:.2%} of {found['unlabelled']:,.0f} other texts change their label."
    if "accuracy" not in found:
        return f"in {manifest.quantisation} {changed}"
    return (
        f"in {manifest.quantisation} the accuracy on {found['validation']:,.0f} texts is {found['accuracy']:.4f} (fp32 "
        f"{found['accuracy_fp32']:.4f}); {changed}"
    )


def licence(base: BaseReference) -> str:
    """What is known of the base's licence."""
    known = licence_of(base)
    if known is None:
        return (
            "The base's licence is not recorded here; that of what was trained is its author's to choose, and to write "
            "as `license` into this card's front matter. The data are their owners'."
        )
    return (
        f"The base is under {known}, and this card's front matter says the same of the whole: the author of what was "
        "trained may write another `license` there. The data are their owners'."
    )
