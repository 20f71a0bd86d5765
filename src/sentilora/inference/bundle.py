"""Bundles: folders that answer without PyTorch, with one classifier or many adapters over one base."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
from functools import cached_property
from pathlib import Path
from typing import Optional, Union

import numpy as np
import onnxruntime
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sentilora.artifacts import (
    BUNDLE_ADAPTER_FOLDER,
    BUNDLE_ADAPTER_WEIGHTS,
    GRAPH,
    MANIFEST,
    TOKENIZER,
    AbstentionPoint,
    Manifest,
    ModelFolder,
    PathLike,
    cache_folder,
    open_model,
    read_manifest,
)
from sentilora.errors import ModelError
from sentilora.inference.abstention import point_for
from sentilora.inference.classifier import Classifier
from sentilora.inference.onnx import Graph, OnnxPredictor
from sentilora.inference.scheduler import Scheduler
from sentilora.labels import Labels
from sentilora.text import TextEncoder

# Another processor rounds a sum another way, which moves a logit a little; one that saturates moves it a lot.
_PROBE_TOLERANCE = 0.1

_logger = logging.getLogger("sentilora")


class Bundle:
    """An opened bundle: one graph, one scheduler, and a classifier for each adapter. Thread-safe.

    Attributes:
        path: The folder.
        manifest: What it says of itself.
        graph: Shared by all classifiers.
        precision: Wanted of every adapter; None answers every text.
        classifiers: By the adapter's name; a merged bundle has one, named after its folder. A new dictionary appears
            with each change, so that one taken before stays as it was.
    """

    def __init__(self, path: Path, manifest: Manifest, graph: Graph, precision: Optional[float] = None) -> None:
        self.path = path
        self.manifest = manifest
        self.graph = graph
        self.precision = precision
        self.classifiers: dict[str, Classifier] = {}

    @classmethod
    def open(
        cls,
        path: Union[PathLike, ModelFolder],
        *,
        threads: Optional[int] = None,
        capacity: Optional[int] = None,
        spin: bool = True,
        precision: Optional[float] = None,
    ) -> Bundle:
        """Open the bundle at `path`, and prove once on each machine that it answers as where it was made.

        Args:
            path: The folder, or what `open_model` has found there.
            threads: Cores to use; None takes all that the process may.
            capacity: Most tokens that may wait for a worker; None means no bound.
            spin: Whether the threads of a single text wait for one another awake; see `Graph`.
            precision: Wanted of every adapter, see `Classifier.load`; None answers every text.

        Raises:
            ModelError: There is no bundle there, a file of it is damaged, it answers wrongly on this processor, or no
                confidence of an adapter reaches `precision`.
        """
        folder = path if isinstance(path, ModelFolder) else open_model(path)
        if folder.kind != "bundle" or folder.manifest is None:
            raise ModelError(f"{folder.path} is no bundle: make one with sentilora export")
        manifest = folder.manifest
        bundle = cls(folder.path, manifest, Graph(folder.path / GRAPH, threads, capacity, spin=spin), precision)
        if manifest.labels:
            bundle._add(folder.path.resolve().name, folder.path, manifest)
        for adapter in sorted((folder.path / BUNDLE_ADAPTER_FOLDER).glob("*/")):
            bundle.load(adapter.name, adapter)
        return bundle

    @property
    def scheduler(self) -> Scheduler:
        """What all classifiers' texts wait in."""
        return self.graph.scheduler

    def classifier(self, adapter: Optional[str] = None) -> Classifier:
        """The classifier of an adapter; without a name, the only one.

        Raises:
            ModelError: There is no such adapter, or several and none is named.
        """
        if not self.classifiers:
            raise ModelError(f"{self.path} has no adapter in {BUNDLE_ADAPTER_FOLDER}/: copy the whole folder")
        known = ", ".join(sorted(self.classifiers))
        if adapter is None:
            if len(self.classifiers) != 1:
                raise ModelError(f"{self.path} holds several adapters: name one of {known} with --adapter")
            return next(iter(self.classifiers.values()))
        if adapter not in self.classifiers:
            raise ModelError(f"{self.path} holds no adapter '{adapter}': it has {known}")
        return self.classifiers[adapter]

    def load(self, name: str, folder: Path) -> Classifier:
        """Add an adapter, in place of one of that name.

        Raises:
            ModelError: It is none, is damaged, or was made for another base, no confidence of it reaches the
                wanted precision, or this bundle is a merged one.
        """
        manifest = read_manifest(folder)
        if manifest is None or manifest.kind != "bundle-adapter":
            raise ModelError(f"{folder} holds no adapter of a bundle: make one with sentilora export")
        if manifest.graph != self.manifest.files[GRAPH]:
            raise ModelError(f"{folder} was made for another base than {self.path}: export both together")
        return self._add(name, folder, manifest)

    def unload(self, name: str) -> None:
        """Forget an adapter; what was begun with it is finished.

        Raises:
            ModelError: There is no such adapter.
        """
        self.classifier(name)
        self.classifiers = {other: each for other, each in self.classifiers.items() if other != name}

    def _add(self, name: str, folder: Path, manifest: Manifest) -> Classifier:
        inputs = _adapter_inputs(folder, self.graph) if manifest.kind == "bundle-adapter" else {}
        encoder = self._encoder_of(folder, manifest)
        labels = Labels(manifest.labels)
        predictor = OnnxPredictor(self.graph, inputs, len(labels))
        classifier = Classifier(predictor, encoder, labels, manifest.temperature, abstention=manifest.abstention)
        if self.precision is not None:
            classifier.answers_from = _answers_from(self.precision, folder, manifest)
            classifier.notes.say(f"{name}: {classifier.answers_from}")
        _prove_once(classifier, folder, manifest)
        self.classifiers = {**self.classifiers, name: classifier}
        return classifier

    @cached_property
    def _encoder(self) -> TextEncoder:
        """Of the bundle's own tokenizer, which takes megabytes: all adapters without one share it."""
        return TextEncoder.load(self.path, self.manifest.max_length, self.manifest.truncation)

    def _encoder_of(self, folder: Path, manifest: Manifest) -> TextEncoder:
        if (folder / TOKENIZER).is_file():
            return TextEncoder.load(folder, manifest.max_length, manifest.truncation)
        return self._encoder.cutting(manifest.max_length, manifest.truncation)


def _answers_from(precision: float, folder: Path, manifest: Manifest) -> AbstentionPoint:
    try:
        return point_for(precision, manifest.abstention)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None


def _adapter_inputs(folder: Path, graph: Graph) -> dict[str, onnxruntime.OrtValue]:
    """The arrays of an adapter, and empty ones for the layers that it leaves as they are."""
    path = folder / BUNDLE_ADAPTER_WEIGHTS
    try:
        return graph.filled(load_file(path))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from None


def _prove_once(classifier: Classifier, folder: Path, manifest: Manifest) -> None:
    """Compare the answers to the probes with those where the bundle was made, unless this machine has done so before.

    Raises:
        ModelError: They differ: this processor's integer arithmetic saturates.
    """
    digest = hashlib.sha256((folder / MANIFEST).read_bytes() + _processor().encode()).hexdigest()
    mark = cache_folder() / "proved" / digest
    if os.path.isfile(mark) or not manifest.probes:  # noqa: PTH113 - where it may not be looked at, it says no
        return
    texts = [probe.text for probe in manifest.probes]
    expected = np.array([probe.logits for probe in manifest.probes], np.float32).reshape(len(texts), -1)
    found = classifier.predictor.logits([text.ids for text in classifier.encoder.encode(texts)])
    difference = float(np.abs(found - expected).max(initial=0))
    if not difference <= _PROBE_TOLERANCE:
        raise ModelError(
            f"{folder} answers otherwise on this processor than where it was made (by {difference:.2g} in a logit): "
            "export it again on a processor of this kind"
        )
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        _logger.info(f"{mark} cannot be written ({error.strerror}): the bundle is checked again next time")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    described = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.is_file() else [platform.processor()]
    kept = [line for line in described if line.startswith(("model name", "flags", "Features"))]
    return "\n".join([platform.machine(), onnxruntime.__version__, *dict.fromkeys(kept)])
