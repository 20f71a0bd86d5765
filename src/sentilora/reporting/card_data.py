"""The front matter of a model card: what the Hub reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, Optional

from huggingface_hub import EvalResult, ModelCardData

from sentilora.analysis.intervals import wilson
from sentilora.analysis.metrics import measure_name
from sentilora.artifacts import BaseReference, Interval, Manifest
from sentilora.labels import Labels
from sentilora.tables.sources import hub_dataset_of

# As the Hub's `evaluate` metrics are called, where they are not called as ours.
_METRICS = {"mcc": "matthews_correlation", "pr_auc": "average_precision", "brier": "brier_score"}
_EMBEDDED = "sentence-transformers/all-MiniLM-L6-v2"
_LICENCES = {
    _EMBEDDED: "Apache-2.0",
    "distilbert-base-uncased": "Apache-2.0",
    "distilbert-base-cased": "Apache-2.0",
    "distilbert-base-multilingual-cased": "Apache-2.0",
}
_HUB_ID = re.compile(r"([\w.-]+/)?[\w.-]+")

Relation = Literal["adapter", "finetune", "quantized"]


def front_matter(
    manifest: Manifest, library: str, relation: Relation, adapters: Optional[Mapping[str, Manifest]] = None
) -> str:
    """The YAML between its two lines of dashes.

    Args:
        manifest: Of the folder.
        library: That loads it, as the Hub calls it.
        relation: To the base.
        adapters: Of a bundle that holds several.
    """
    described = {"": manifest} if adapters is None else adapters
    trainings = {name: one.training for name, one in described.items() if one.training is not None}
    results = [result for name, one in described.items() for result in _results(name, one)]
    datasets = {found for training in trainings.values() if (found := hub_dataset(training.data)) is not None}
    languages = {"en" for training in trainings.values() if training.data in ENGLISH}
    sentiment = all(Labels(one.labels).positive is not None for one in described.values())
    base = base_on_hub(manifest.base)
    data = ModelCardData(
        base_model=base,
        base_model_relation=None if base is None else relation,
        datasets=sorted(datasets) or None,
        eval_results=results or None,
        language=sorted(languages) if len(languages) == 1 and len(trainings) == len(described) else None,
        library_name=library,
        license=licence_on_hub(manifest.base),
        model_name=", ".join(training.name for training in trainings.values()) or None if results else None,
        pipeline_tag="text-classification",
        tags=["text-classification", *(["sentiment-analysis"] if sentiment else []), "lora", "sentilora"],
    )
    return f"---\n{data.to_yaml()}\n---"


# Data of which we know the language and the kind.
ENGLISH = {
    "imdb": "English reviews of films from IMDb",
    "bundled": "English reviews of films and products, written for sentilora",
}


def base_on_hub(base: BaseReference) -> Optional[str]:
    """The base's name on the Hub; None for a folder of the user's own."""
    if base.id == "embedded":
        return _EMBEDDED
    return base.id if base.revision is not None and _HUB_ID.fullmatch(base.id) else None


def licence_of(base: BaseReference) -> Optional[str]:
    """The base's licence, where we know it."""
    published = base_on_hub(base)
    return None if published is None else _LICENCES.get(published.replace("distilbert/", ""))


def licence_on_hub(base: BaseReference) -> str:
    """The base's licence as the Hub writes licences: in small letters, and `unknown` where we do not know it."""
    return (licence_of(base) or "unknown").lower()


def hub_dataset(data: Optional[str]) -> Optional[str]:
    """The data set on the Hub that a training's data are; None for a file, or what came from Python."""
    found = None if data is None else hub_dataset_of(data)
    return None if found is None else found.repository


def _results(adapter: str, manifest: Manifest) -> Iterator[EvalResult]:
    """One result a measure; the interval is in its name, which the Hub shows, and in its arguments.

    A bundle's own accuracy stands before what was measured in fp32 on the model that it was made of.
    """
    training, gate = manifest.training, manifest.gate
    if training is None:
        return
    if "accuracy" in gate:
        n = int(gate["validation"])
        own = wilson(gate["accuracy"] * n, n)
        name = f"accuracy of this bundle, in {manifest.quantisation}"
        yield _result("accuracy", name, own, "private", "labelled texts of the export", adapter)
    in_fp32 = " in fp32, before quantisation" if gate else ""
    for measure, score in training.scores.items():
        name = f"{measure_name(measure)}{in_fp32}"
        texts = f"validation texts of {adapter or training.name}"
        yield _result(measure, name, score, hub_dataset(training.data) or "private", texts, adapter)


def _result(measure: str, name: str, score: Interval, dataset: str, texts: str, adapter: str) -> EvalResult:
    return EvalResult(
        task_type="text-classification",
        task_name="Text Classification",
        dataset_type=dataset,
        dataset_name=texts,
        dataset_config=adapter or None,  # keeps the results of several adapters apart
        metric_type=_METRICS.get(measure, measure),
        metric_value=round(score.value, 4),
        metric_name=f"{name} (95% interval {score.low:.3f} to {score.high:.3f})",
        metric_args={"low": round(score.low, 4), "high": round(score.high, 4)},
    )
