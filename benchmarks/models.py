"""Models with random weights, as fast as trained ones, and texts to give them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MAX_LENGTH = 256


def build(models: Path, shape: str, adapters: int) -> tuple[Any, Any]:
    """Write `merged`, for Transformers; `bundle`, the same exported; and `adapters`, of ranks 1 to 16 over one base.

    `one-adapter` is the last of these with the first of them alone.

    Args:
        models: An empty folder.
        shape: `distilbert`, or `embedded`, which is half as wide.
        adapters: How many.

    Returns:
        The merged model as PyTorch has it, and its `TextEncoder`.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.numpy import save_file
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    from sentilora.artifacts import BaseReference, Manifest, write_manifest
    from sentilora.export.graph import adaptable_graph, merged_graph
    from sentilora.export.quantisation import FP32, ladder
    from sentilora.export.ranges import measured_ranges
    from sentilora.export.weights import adapter_arrays, encoder_of
    from sentilora.export.writing import write_graph
    from sentilora.inference import Classifier
    from sentilora.inference.onnx import Graph
    from sentilora.labels import SENTIMENT
    from sentilora.modeling.base import find_base
    from sentilora.modeling.devices import Device
    from sentilora.modeling.predictor import TorchPredictor
    from sentilora.modeling.pretrained import load_tokenizer
    from sentilora.modeling.saving import write_tokenizer
    from sentilora.notes import Notes
    from sentilora.text import TextEncoder, with_cleaning

    torch.manual_seed(0)
    sizes = {} if shape == "distilbert" else {"dim": 384, "hidden_dim": 1536}
    model = DistilBertForSequenceClassification(DistilBertConfig(**sizes))
    tokenizer = load_tokenizer(find_base("embedded", Notes()).folder)
    encoder = TextEncoder(with_cleaning(tokenizer), MAX_LENGTH, "head")
    manifest = Manifest(
        kind="bundle",
        labels=SENTIMENT.names,
        max_length=MAX_LENGTH,
        truncation="head",
        base=BaseReference(id="random", sha256=""),
    )
    how = ladder(Notes())[1]  # what trained adapters come to
    arrays = encoder_of(model)
    some = [text.ids for text in encoder.encode(reviews(8))]
    ranges = measured_ranges(merged_graph(arrays, FP32), [{}], some)

    merged = models / "merged"
    model.save_pretrained(merged)
    write_tokenizer(encoder, merged)
    for name, graph in (
        ("bundle", merged_graph(arrays, how, ranges)),
        ("adapters", adaptable_graph(arrays, how, ranges)),
    ):
        (models / name).mkdir()
        write_graph(graph, models / name)
        write_tokenizer(encoder, models / name)
    write_manifest(models / "bundle", manifest)
    digest = write_manifest(models / "adapters", _with(manifest, labels=())).files["model.onnx"]
    shared = Graph(models / "adapters" / "model.onnx")
    targets = ("q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2")
    for number in range(adapters):
        lora = get_peft_model(
            DistilBertForSequenceClassification(model.config),
            LoraConfig(
                task_type="SEQ_CLS",
                r=(1, 4, 8, 16)[number % 4],
                target_modules=list(targets[: number % 6 + 1]),
                init_lora_weights=False,
            ),
        )
        adapted = TorchPredictor(lora.eval(), Device("cpu"), 2)
        place = models / "adapters" / "adapters" / f"a{number:02d}"
        place.mkdir(parents=True)
        save_file(shared.fitted(adapter_arrays(Classifier(adapted, encoder, SENTIMENT))), place / "adapter.safetensors")
        write_manifest(place, _with(manifest, kind="bundle-adapter", graph=digest))
    if adapters:
        others = shutil.ignore_patterns(*(f"a{number:02d}" for number in range(1, adapters)))
        shutil.copytree(models / "adapters", models / "one-adapter", ignore=others, copy_function=os.link)
    return model, encoder


def _with(manifest: Any, **changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(manifest, **changes)


def reviews(count: int, name: str = "imdb_train") -> list[str]:
    """So many distinct reviews of a file, evenly spread over the lengths of all of them, in random order."""
    import pyarrow.parquet as pq

    table = pq.read_table(ROOT.parent / "shared" / "data" / f"{name}.parquet")
    texts = sorted(set(table["text"].to_pylist()), key=len)
    chosen = np.linspace(0, len(texts) - 1, count).round().astype(int)
    return [texts[row] for row in np.random.default_rng(0).permutation(chosen)]
