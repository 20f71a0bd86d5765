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
import onnxruntime
from safetensors.numpy import save

from sentilora.artifacts import (
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
    sha256_of,
    write_file,
    write_manifest,
)
from sentilora.errors import ModelError, ParityError
from sentilora.export.gate import Gate, Verdict
from sentilora.export.graph import adaptable_graph, merged_graph
from sentilora.export.probes import PROBES
from sentilora.export.quantisation import FP32, Floats, Quantisation, Ranges, ladder
from sentilora.export.ranges import measured_ranges
from sentilora.export.weights import adapter_arrays, encoder_of
from sentilora.export.writing import write_graph
from sentilora.inference import Classifier
from sentilora.inference.onnx import Graph, OnnxPredictor
from sentilora.labels import SENTIMENT
from sentilora.modeling.base import Base, load_pretrained
from sentilora.modeling.devices import choose_device
from sentilora.modeling.loading import base_of, load_adapter, load_merged, manifest_of
from sentilora.modeling.merging import folded
from sentilora.notes import Notes
from sentilora.reporting.cards import Making, adapters_card, bundle_card
from sentilora.tables import LabelledTexts, read_labelled, read_texts
from sentilora.text import TextEncoder

UNLABELLED = 2000
MEASURED = 128


@dataclass(frozen=True)
class Exported:
    """What was made.

    Attributes:
        folder: The bundle.
        quantisation: How its graph computes.
        parity: Largest difference of an fp32 logit from PyTorch's, by adapter.
        verdicts: How far the quantised answers are from the fp32 ones, by adapter.
        notes: What was assumed or fell back.
    """

    folder: Path
    quantisation: str
    parity: dict[str, float]
    verdicts: dict[str, Verdict]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Order:
    """What is to be exported: `models`, through `work`, into `folder`; `others` are the gate's unlabelled texts."""

    models: Sequence[PathLike]
    base: Optional[str]
    others: Sequence[str]
    work: Path
    folder: Path
    making: Making
    notes: Notes


@dataclass(frozen=True)
class _Candidate:
    """One adapter on its way into a bundle: `inputs` of the graph, and the gate they must pass."""

    name: str
    classifier: Classifier
    manifest: Manifest
    inputs: dict[str, onnxruntime.OrtValue]
    arrays: dict[str, Floats]
    gate: Gate

    def predictor(self, graph: Graph) -> OnnxPredictor:
        return OnnxPredictor(graph, self.inputs, len(self.classifier.labels))


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
    ways that passes is taken, for all adapters the same.

    Args:
        models: A run, an adapter or a merged model; several must be runs or adapters of one base, named apart.
        output: The new folder.
        base: Where the base is to be found, if elsewhere than recorded.
        unlabelled: A file of texts like those to be scored; by default bundled reviews.
        overwrite: Whether a bundle at `output` may be replaced.

    Raises:
        ModelError: A model is missing or damaged, or the adapters do not share a base.
        OutputError: `output` exists and `overwrite` is false.
        ParityError: The graph does not answer as PyTorch, or no way to quantise it passes.
    """
    refuse_existing(Path(output), overwrite)
    notes = Notes()
    texts = read_labelled("bundled").texts if unlabelled is None else read_texts(Path(unlabelled))
    others = _some(texts, UNLABELLED)
    make = _merged if len(models) == 1 else _with_adapters
    making = Making.of(
        "export",
        [os.fspath(path) for path in models],
        os.fspath(output),
        base=base,
        unlabelled=None if unlabelled is None else os.fspath(unlabelled),
    )
    with tempfile.TemporaryDirectory() as work, new_folder(Path(output), overwrite) as folder:
        exported = make(_Order(models, base, others, Path(work), folder, making, notes))
    return Exported(Path(output), *exported, tuple(notes))


def _some(texts: Sequence[str], most: int) -> list[str]:
    return [texts[row] for row in np.random.default_rng(0).permutation(len(texts))[:most]]


def _ranges(
    fp32: onnx.ModelProto, adapters: Sequence[Mapping[str, onnxruntime.OrtValue]], encode: TextEncoder
) -> Ranges:
    """Measured on bundled reviews that no gate judges by."""
    texts = _some(read_labelled("bundled").texts, UNLABELLED + MEASURED)[UNLABELLED:]
    return measured_ranges(fp32, adapters, [text.ids for text in encode.encode(texts)])


def _merged(order: _Order) -> tuple[str, dict[str, float], dict[str, Verdict]]:
    path = order.models[0]
    source = open_model(path)
    classifier, manifest = _load(source, order.base, order.notes)
    encoder = encoder_of(folded(classifier))
    model = merged_graph(encoder, FP32)
    fp32 = OnnxPredictor(_written(model, order.work / "fp32"), {}, len(classifier.labels))
    gate = Gate(classifier, fp32, _validation_of(path), order.others, order.notes)
    name = Path(path).resolve().name
    candidate = _Candidate(name, classifier, manifest, {}, {}, gate)
    ranges = _ranges(model, [{}], classifier.encoder)
    quantisation, graph, verdicts = _descend(
        [candidate], lambda how: _written(merged_graph(encoder, how, ranges), order.work / "int8"), order.notes
    )
    _take(graph, order.folder)
    write_file(order.folder / TOKENIZER, classifier.encoder.tokenizer.to_str(pretty=True).encode())
    manifest = _finished(candidate, candidate.predictor(graph), quantisation, verdicts[name])
    manifest = msgspec.structs.replace(manifest, kind="bundle", notes=(*manifest.notes, *order.notes))
    write_file(order.folder / README, bundle_card(manifest, order.making).encode())
    write_manifest(order.folder, manifest)
    return quantisation.name, {name: gate.parity.difference}, verdicts


def _with_adapters(order: _Order) -> tuple[str, dict[str, float], dict[str, Verdict]]:
    names = [_name_of(path) for path in order.models]
    if len(set(names)) < len(names):
        raise ModelError(f"two adapters are called alike ({', '.join(names)}): adapters are named after their folders")
    sources = [open_model(path) for path in order.models]
    shared = _shared_base(sources, order.base, order.notes)
    encoder = encoder_of(load_pretrained(shared.folder, SENTIMENT))
    model = adaptable_graph(encoder, FP32)
    graph = _written(model, order.work / "fp32")
    candidates = []
    for name, path, source in zip(names, order.models, sources):
        classifier, manifest = _load(source, order.base, order.notes)
        arrays = adapter_arrays(classifier)
        inputs = graph.filled(arrays)
        predictor = OnnxPredictor(graph, inputs, len(classifier.labels))
        gate = Gate(classifier, predictor, _validation_of(path), order.others, order.notes)
        candidates.append(_Candidate(name, classifier, manifest, inputs, arrays, gate))
    ranges = _ranges(model, [each.inputs for each in candidates], candidates[0].classifier.encoder)
    quantisation, graph, verdicts = _descend(
        candidates, lambda how: _written(adaptable_graph(encoder, how, ranges), order.work / "int8"), order.notes
    )
    _take(graph, order.folder)
    tokenizer = candidates[0].classifier.encoder.tokenizer.to_str(pretty=True)
    write_file(order.folder / TOKENIZER, tokenizer.encode())
    digest = sha256_of(order.folder / GRAPH)
    adapters = {}
    for candidate in candidates:
        place = order.folder / BUNDLE_ADAPTER_FOLDER / candidate.name
        place.mkdir(parents=True)
        write_file(place / BUNDLE_ADAPTER_WEIGHTS, save(candidate.arrays))
        own = candidate.classifier.encoder.tokenizer.to_str(pretty=True)
        if own != tokenizer:
            write_file(place / TOKENIZER, own.encode())
        manifest = _finished(candidate, candidate.predictor(graph), quantisation, verdicts[candidate.name])
        manifest = msgspec.structs.replace(manifest, kind="bundle-adapter", graph=digest)
        adapters[candidate.name] = write_manifest(place, manifest)
    head = candidates[0].manifest
    manifest = Manifest(
        kind="bundle",
        labels=(),
        max_length=head.max_length,
        truncation=head.truncation,
        base=shared.reference,
        quantisation=quantisation.name,
        notes=tuple(order.notes),
    )
    write_file(order.folder / README, adapters_card(manifest, adapters, order.making).encode())
    write_manifest(order.folder, manifest)
    return quantisation.name, {each.name: each.gate.parity.difference for each in candidates}, verdicts


def _descend(
    candidates: Sequence[_Candidate], build: Callable[[Quantisation], Graph], notes: Notes
) -> tuple[Quantisation, Graph, dict[str, Verdict]]:
    """The first way to quantise that every candidate's gate lets pass.

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
            return quantisation, graph, verdicts
        for name, verdict in failed.items():
            notes.say(f"{quantisation.name} is refused for {name}: {verdict}")
    closest = "; ".join(f"{name}: {verdict}" for name, verdict in failed.items())
    raise ParityError(
        f"no way to quantise keeps the answers ({closest}): nothing was saved; serve the merged model instead"
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
    if source.kind != "adapter":
        raise ModelError(f"{source.path} is a bundle already: export takes runs, adapters and merged models")
    found = base_of(source, base, notes)
    classifier = load_adapter(source, found, device, notes)
    return classifier, manifest_of(source, classifier, found)


def _validation_of(path: PathLike) -> LabelledTexts:
    return read_labelled(kept_validation(path) or "bundled:test")


def _finished(
    candidate: _Candidate, predictor: OnnxPredictor, quantisation: Quantisation, verdict: Verdict
) -> Manifest:
    """The manifest of what was quantised, its temperature folded in, with the probes' answers."""
    encoded = candidate.classifier.encoder.encode(PROBES)
    logits = predictor.logits([text.ids for text in encoded])
    judged = {name: value for name, value in asdict(verdict).items() if np.isfinite(value)}  # JSON has no NaN
    return msgspec.structs.replace(
        candidate.manifest,
        temperature=1.0,
        quantisation=quantisation.name,
        gate={"fp32_difference": candidate.gate.parity.difference, **judged},
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
    return folder.parent.name if folder.name == "adapter" else folder.name
