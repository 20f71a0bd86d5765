"""Make a bundle: merge or keep apart, build the graph, quantise, and let nothing pass that is not proved."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Optional

import msgspec
import numpy as np
import onnx
from safetensors.numpy import save

from sentilora.artifacts import (
    ADAPTER_FOLDER,
    BUNDLE_ADAPTER_FOLDER,
    BUNDLE_ADAPTER_WEIGHTS,
    GRAPH,
    GRAPH_WEIGHTS,
    README,
    TOKENIZER,
    Manifest,
    ModelFolder,
    PathLike,
    Probe,
    kept_validation,
    new_folder,
    open_model,
    refuse_existing,
    refuse_replacing,
    sha256_of,
    write_file,
    write_manifest,
)
from sentilora.errors import ModelError, ParityError
from sentilora.export.gate import Changes, Gate, Verdict
from sentilora.export.graph import adaptable_graph, merged_graph
from sentilora.export.others import OtherTexts, other_texts
from sentilora.export.probes import PROBES
from sentilora.export.quantisation import FP32, Floats, Quantisation, ladder
from sentilora.export.ranges import measured_ranges
from sentilora.export.weights import adapter_arrays, encoder_of
from sentilora.export.writing import write_graph
from sentilora.inference import Classifier
from sentilora.inference.onnx import Graph, OnnxPredictor
from sentilora.labels import SENTIMENT
from sentilora.modeling.base import Base
from sentilora.modeling.devices import choose_device
from sentilora.modeling.loading import base_of, load_adapter, load_merged, manifest_of
from sentilora.modeling.merging import folded
from sentilora.modeling.pretrained import load_pretrained
from sentilora.notes import Notes
from sentilora.reporting.cards import Making, adapters_card, bundle_card
from sentilora.tables import LabelledTexts, read_labelled


@dataclass(frozen=True)
class Exported:
    """What was made.

    Attributes:
        folder: The bundle.
        quantisation: How its graph computes.
        parity: Largest difference of an fp32 logit from PyTorch's, by adapter.
        verdicts: How far the quantised answers are from the fp32 ones on the texts that chose, by adapter.
        changes: The same on texts that were held back and chose nothing: the figures to publish.
        notes: What was assumed or fell back.
    """

    folder: Path
    quantisation: str
    parity: dict[str, float]
    verdicts: dict[str, Verdict]
    changes: dict[str, Changes]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Order:
    """What is to be exported: `models`, named apart, through `work`, into `folder`, past the gate with `others`."""

    models: Mapping[str, ModelFolder]
    base: Optional[str]
    validation: Mapping[str, LabelledTexts]
    others: OtherTexts
    work: Path
    folder: Path
    making: Making
    notes: Notes


@dataclass(frozen=True)
class _Candidate:
    """One classifier on its way into a bundle: an adapter's `arrays`, and the gate it must pass."""

    name: str
    classifier: Classifier
    manifest: Manifest
    arrays: dict[str, Floats]
    gate: Gate

    def predictor(self, graph: Graph) -> OnnxPredictor:
        return OnnxPredictor(graph, graph.filled(self.arrays), len(self.classifier.labels))


@dataclass(frozen=True)
class _Chosen:
    """The way to quantise that all candidates passed with, and how each did, by its name."""

    quantisation: Quantisation
    graph: Graph
    verdicts: dict[str, Verdict]
    changes: dict[str, Changes]


def export(
    models: Sequence[PathLike],
    output: PathLike = "bundle",
    *,
    base: Optional[str] = None,
    unlabelled: Optional[PathLike] = None,
    overwrite: bool = False,
) -> Exported:
    """Write a bundle: of one model a graph with everything folded in; of several one base, and each adapter by itself.

    The fp32 graph must answer as PyTorch does to 1e-4 in a logit. A quantised one may change the accuracy on the
    validation texts by 0.3 points (or one text), and the label of 1.5 % of 2,000 other texts; the fastest of several
    ways that passes is taken, for all adapters the same. How many labels it changes of as many texts that were held
    back from this choice is what is published.

    Args:
        models: A run, an adapter or a merged model; several must be runs or adapters of one base, named apart.
        output: The new folder.
        base: Where the base is to be found, if elsewhere than recorded.
        unlabelled: A file of texts like those to be scored, trained and validated on by none of the models; by default
            bundled reviews.
        overwrite: Whether a bundle at `output` may be replaced.

    Raises:
        DataError: There are not two unlabelled texts.
        ModelError: A model is missing or damaged, or the adapters do not share a base.
        OutputError: `output` exists and `overwrite` is false, or it holds a model, its base or the texts.
        ParityError: The graph does not answer as PyTorch, or no way to quantise it passes.
    """
    if isinstance(models, (str, os.PathLike)) or not models:
        raise ModelError("export takes a list of runs, adapters or merged models")
    refuse_existing(Path(output), overwrite)
    notes = Notes()
    names = [_name_of(path) for path in models]
    if len(set(names)) < len(names):
        raise ModelError(f"two adapters are called alike ({', '.join(names)}): adapters are named after their folders")
    sources = {name: open_model(path) for name, path in zip(names, models)}
    for source in sources.values():
        if source.kind == "bundle":
            raise ModelError(f"{source.path} is a bundle already: export takes runs, adapters and merged models")
    needed = [] if unlabelled is None else [unlabelled]
    for source in sources.values():
        needed += [source.path, *([base_of(source, base, notes).folder] if source.kind == "adapter" else [])]
    refuse_replacing(Path(output), needed)
    validation = {name: _validation_of(name, path, notes) for name, path in zip(names, models)}
    others = other_texts(
        unlabelled,
        [text for data in validation.values() for text in data.texts],
        {name: source.manifest.training if source.manifest else None for name, source in sources.items()},
        notes,
    )
    make = _merged if len(models) == 1 else _with_adapters
    making = Making.of(
        "export",
        [os.fspath(path) for path in models],
        os.fspath(output),
        base=base,
        unlabelled=None if unlabelled is None else os.fspath(unlabelled),
    )
    with new_folder(Path(output), overwrite) as folder, tempfile.TemporaryDirectory(dir=folder.parent) as work:
        chosen, parity = make(_Order(sources, base, validation, others, Path(work), folder, making, notes))
    quantisation = chosen.quantisation.name
    return Exported(Path(output), quantisation, parity, chosen.verdicts, chosen.changes, tuple(notes))


def _merged(order: _Order) -> tuple[_Chosen, dict[str, float]]:
    ((name, source),) = order.models.items()
    classifier, manifest = _load(source, order.base, order.notes)
    encoder = encoder_of(folded(classifier))
    model = merged_graph(encoder, FP32)
    fp32 = OnnxPredictor(_written(model, order.work / "fp32"), {}, len(classifier.labels))
    gate = Gate(classifier, fp32, order.validation[name], order.others, order.notes)
    candidate = _Candidate(name, classifier, manifest, {}, gate)
    ranges = measured_ranges(model, [{}], [text.ids for text in classifier.encoder.encode(order.others.ranges)])
    chosen = _descend(
        [candidate], lambda how: _written(merged_graph(encoder, how, ranges), order.work / "int8"), order.notes
    )
    _take(chosen.graph, order.folder)
    write_file(order.folder / TOKENIZER, classifier.encoder.tokenizer.to_str(pretty=True).encode())
    manifest = _finished(candidate, chosen)
    manifest = msgspec.structs.replace(manifest, kind="bundle", notes=(*manifest.notes, *order.notes))
    write_file(order.folder / README, bundle_card(manifest, order.making).encode())
    write_manifest(order.folder, manifest)
    return chosen, {name: gate.parity.difference}


def _with_adapters(order: _Order) -> tuple[_Chosen, dict[str, float]]:
    shared = _shared_base(list(order.models.values()), order.base, order.notes)
    encoder = encoder_of(load_pretrained(shared.folder, SENTIMENT))
    model = adaptable_graph(encoder, FP32)
    graph = _written(model, order.work / "fp32")
    candidates = []
    for name, source in order.models.items():
        classifier, manifest = _load(source, order.base, order.notes)
        arrays = adapter_arrays(classifier)
        fp32 = OnnxPredictor(graph, graph.filled(arrays), len(classifier.labels))
        gate = Gate(classifier, fp32, order.validation[name], order.others, order.notes)
        candidates.append(_Candidate(name, classifier, manifest, arrays, gate))
    encoded = candidates[0].classifier.encoder.encode(order.others.ranges)
    inputs = [graph.filled(each.arrays) for each in candidates]
    ranges = measured_ranges(model, inputs, [text.ids for text in encoded])
    chosen = _descend(
        candidates, lambda how: _written(adaptable_graph(encoder, how, ranges), order.work / "int8"), order.notes
    )
    _take(chosen.graph, order.folder)
    tokenizer = candidates[0].classifier.encoder.tokenizer.to_str(pretty=True)
    write_file(order.folder / TOKENIZER, tokenizer.encode())
    digest = sha256_of(order.folder / GRAPH)
    adapters = {}
    for candidate in candidates:
        place = order.folder / BUNDLE_ADAPTER_FOLDER / candidate.name
        place.mkdir(parents=True)
        write_file(place / BUNDLE_ADAPTER_WEIGHTS, save(chosen.graph.fitted(candidate.arrays)))
        own = candidate.classifier.encoder.tokenizer.to_str(pretty=True)
        if own != tokenizer:
            write_file(place / TOKENIZER, own.encode())
        manifest = _finished(candidate, chosen)
        manifest = msgspec.structs.replace(manifest, kind="bundle-adapter", graph=digest)
        adapters[candidate.name] = write_manifest(place, manifest)
    head = candidates[0].manifest
    manifest = Manifest(
        kind="bundle",
        labels=(),
        max_length=head.max_length,
        truncation=head.truncation,
        base=shared.reference,
        quantisation=chosen.quantisation.name,
        notes=tuple(order.notes),
    )
    write_file(order.folder / README, adapters_card(manifest, adapters, order.making).encode())
    write_manifest(order.folder, manifest)
    return chosen, {each.name: each.gate.parity.difference for each in candidates}


def _descend(candidates: Sequence[_Candidate], build: Callable[[Quantisation], Graph], notes: Notes) -> _Chosen:
    """The first way to quantise that every candidate's gate lets pass, and what it does to texts that chose nothing.

    Raises:
        ParityError: None passes.
    """
    failed: dict[str, Verdict] = {}
    for quantisation in ladder(notes):
        try:
            graph = build(quantisation)
            verdicts = {each.name: each.gate.judge(each.predictor(graph)) for each in candidates}
        except ModelError as error:  # an operator that this version of onnxruntime has not
            notes.say(f"{quantisation.name} cannot be had: {error}")
            continue
        failed = {name: verdict for name, verdict in verdicts.items() if not verdict.passes}
        if not failed:
            changes = {each.name: each.gate.measure(each.predictor(graph)) for each in candidates}
            for name, found in changes.items():
                if not found.within_bounds:
                    notes.say(f"{name}: {found} change their label, more than would have been let pass")
            return _Chosen(quantisation, graph, verdicts, changes)
        for name, verdict in failed.items():
            notes.say(f"{quantisation.name} is refused for {name}: {verdict}")
    closest = "; ".join(f"{name}: {verdict}" for name, verdict in failed.items()) or "none can be had here"
    raise ParityError(
        f"no way to quantise keeps the answers ({closest}): nothing was saved; "
        "predict with the run or a merged model instead"
    )


def _written(model: onnx.ModelProto, folder: Path) -> Graph:
    shutil.rmtree(folder, ignore_errors=True)  # an earlier graph may still be mapped: it keeps its file
    folder.mkdir()
    return Graph(write_graph(model, folder))


def _take(graph: Graph, folder: Path) -> None:
    for name in (GRAPH, GRAPH_WEIGHTS):
        shutil.copyfile(graph.path.parent / name, folder / name)


def _load(source: ModelFolder, base: Optional[str], notes: Notes) -> tuple[Classifier, Manifest]:
    device = choose_device("cpu", notes)
    if source.kind == "merged":
        classifier = load_merged(source, device, notes)
        return classifier, manifest_of(source, classifier, None)
    found = base_of(source, base, notes)
    classifier = load_adapter(source, found, device, notes)
    return classifier, manifest_of(source, classifier, found)


def _validation_of(name: str, path: PathLike, notes: Notes) -> LabelledTexts:
    folder = Path(path).resolve()
    kept = kept_validation(folder.parent if folder.name == ADAPTER_FOLDER else folder)
    if kept is None:
        notes.say(f"{name} keeps no validation texts: its accuracy is judged on bundled:test, reviews of ours")
    return read_labelled(kept or "bundled:test")


def _finished(candidate: _Candidate, chosen: _Chosen) -> Manifest:
    """The manifest of what was quantised, its temperature folded in, with the probes' answers.

    What it says of unlabelled texts is of those that chose nothing.
    """
    encoded = candidate.classifier.encoder.encode(PROBES)
    logits = candidate.predictor(chosen.graph).logits([text.ids for text in encoded])
    verdict, changes = chosen.verdicts[candidate.name], chosen.changes[candidate.name]
    judged = {
        **asdict(verdict),
        "unlabelled": changes.texts,
        "changed": changes.changed,
        "difference": changes.difference,
        "choosing": verdict.unlabelled,
        "choosing_changed": verdict.changed,
    }
    return msgspec.structs.replace(
        candidate.manifest,
        temperature=1.0,
        quantisation=chosen.quantisation.name,
        gate={
            "fp32_difference": candidate.gate.parity.difference,
            **{name: value for name, value in judged.items() if np.isfinite(value)},  # JSON has no NaN
        },
        probes=tuple(Probe(text=text, logits=tuple(row.tolist())) for text, row in zip(PROBES, logits)),
    )


def _shared_base(sources: Sequence[ModelFolder], base: Optional[str], notes: Notes) -> Base:
    for source in sources:
        if source.kind != "adapter":
            raise ModelError(f"{source.path} is no adapter: several models share a bundle as adapters of one base")
    bases = [base_of(source, base, notes) for source in sources]
    for source, found in zip(sources, bases):
        if found.reference.sha256 != bases[0].reference.sha256:
            raise ModelError(
                f"{source.path} belongs to base {found.reference.id}, and {sources[0].path} to "
                f"{bases[0].reference.id}: adapters of one bundle share a base"
            )
    return bases[0]


def _name_of(path: PathLike) -> str:
    """The run's name, also where its `adapter/` is named."""
    folder = Path(path).resolve()
    return folder.parent.name if folder.name == ADAPTER_FOLDER else folder.name
