"""What our own packed forward pass gains over packing through Transformers' attention registry.

python benchmarks/forward.py --shape embedded --precision bf16 --targets all

Both take the same packed texts, the same attention of one text at a time, the same frozen weights in the same
precision, and the same head on the [CLS] rows; the registry's way walks Transformers' and PEFT's own modules. One step
is forward and backward over 16 reviews of 256 tokens at most; the two take turns. Then the share of this machine's rate
of plain matrix products (2,048 rows by a feed-forward weight, in the same precision) that whole steps of a training
reach, in parts, two at once, the optimiser's work included, counting the operations of their matrix products. Writes
benchmarks/results/forward-SHAPE-PRECISION-TARGETS.json.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import torch
import torch.nn.functional as F  # noqa: N812
from peft import LoraConfig, TaskType, get_peft_model
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AttentionInterface, AutoModelForSequenceClassification, AutoTokenizer

from machine import write_result
from sentilora.modeling.dropouts import Dropouts
from sentilora.modeling.packed import PackedDistilBert, _attention
from sentilora.training.parts import TOKENS_A_PART, PartWorkers, even_parts
from training import BATCH, base_of, reviews

TARGETS = {"q_lin": ["q_lin"], "all": ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"]}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Take turns, and print and keep the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("distilbert", "embedded"), default="embedded")
    parser.add_argument("--precision", choices=DTYPES, default="bf16")
    parser.add_argument("--targets", choices=TARGETS, default="q_lin")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()

    AttentionInterface.register("one_text_at_a_time", attend)
    with tempfile.TemporaryDirectory() as folder:
        base = base_of(arguments.shape, Path(folder))
        tokenizer = AutoTokenizer.from_pretrained(base)
        texts = reviews(BATCH * arguments.steps)
        ids = tokenizer(texts["text"], truncation=True, max_length=arguments.max_length)["input_ids"]
        ways = {
            "registry": registry(adapted(base, arguments)),
            "ours": ours(adapted(base, arguments), arguments),
            "training": training(adapted(base, arguments), arguments),
        }
    batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    rates, achieved = [], []
    for step in ways.values():
        step(batches[0])
    for batch in batches:
        rates.append(product_rate(arguments))
        for way, step in ways.items():
            began = time.perf_counter()
            step(batch)
            seconds[way].append(time.perf_counter() - began)
        achieved.append(operations(lambda: ways["ours"](batch)) / seconds["training"][-1])  # noqa: B023 - called at once
    medians = {way: statistics.median(each) for way, each in seconds.items()}
    ratio = statistics.median(theirs / own for theirs, own in zip(seconds["registry"], seconds["ours"]))
    name = f"{arguments.shape}-{arguments.precision}-{arguments.targets}"
    print(f"{name}: {medians['registry']:.3f} s a step through the registry, {medians['ours']:.3f} ours: {ratio:.2f}x")
    share = statistics.median(achieved) / statistics.median(rates)
    reached, plain = (statistics.median(each) / 1e9 for each in (achieved, rates))
    print(f"{name}: {reached:.0f} GFLOP/s in a training's steps, {plain:.0f} in plain products: {share:.0%}")
    result = {"options": vars(arguments), "medians": medians, "ratio": ratio, "share": share, "seconds": seconds}
    result |= {"achieved": achieved, "rates": rates}
    write_result(f"forward-{name}", result)


def product_rate(arguments: argparse.Namespace) -> float:
    """Operations a second of a plain product, the median of nine."""
    dim = 768 if arguments.shape == "distilbert" else 384
    x = torch.randn(2048, dim, dtype=DTYPES[arguments.precision])
    weight = torch.randn(4 * dim, dim, dtype=DTYPES[arguments.precision])
    times = []
    for _ in range(9):
        began = time.perf_counter()
        F.linear(x, weight)
        times.append(time.perf_counter() - began)
    return 2 * 2048 * dim * 4 * dim / statistics.median(times)


def operations(step: Callable[[], None]) -> float:
    """Floating-point operations of the matrix products of a step."""
    with FlopCounterMode(display=False, custom_mapping={torch.ops.mkldnn._linear_pointwise: _of_laid_out}) as counter:
        step()
    return float(counter.get_total_flops())


def _of_laid_out(x: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    return int(2 * math.prod(x) * out_shape[-1])


def adapted(base: Path, arguments: argparse.Namespace) -> Any:
    """A classifier with fresh adapters, without dropout in the base."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        base, dtype=torch.float32, dropout=0.0, attention_dropout=0.0, attn_implementation="one_text_at_a_time"
    )
    lora = LoraConfig(task_type=TaskType.SEQ_CLS, r=4, lora_alpha=32, target_modules=TARGETS[arguments.targets])
    peft = get_peft_model(model, lora).train()
    if arguments.precision == "bf16":
        for layer in model.distilbert.transformer.modules():
            frozen = layer.base_layer if hasattr(layer, "base_layer") else layer
            if isinstance(frozen, (nn.Linear, nn.LayerNorm)) and not next(frozen.parameters()).requires_grad:
                frozen.to(torch.bfloat16)
    return peft


def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> Any:
    """Attention inside each text, [1, heads, tokens, size], as the registry calls it."""
    texts = zip(*(each[0].split_with_sizes(options["lengths"], dim=1) for each in (query, key, value)))
    return torch.cat([_attention(*text, options["dropout"], Dropouts()).transpose(0, 1) for text in texts])[None], None


def registry(peft: Any) -> Callable[[list[list[int]]], None]:
    """A step through Transformers' modules."""
    model = peft.get_base_model()
    dtype = model.distilbert.transformer.layer[0].sa_layer_norm.weight.dtype

    def step(texts: list[list[int]]) -> None:
        lengths = [len(text) for text in texts]
        ids = torch.tensor([[token for text in texts for token in text]])
        positions = torch.cat([torch.arange(length) for length in lengths])[None]
        hidden = model.distilbert.embeddings(ids, position_ids=positions)
        hidden = model.distilbert.transformer(hidden.to(dtype), None, lengths=lengths).last_hidden_state[0]
        answers = hidden[torch.tensor([0, *lengths[:-1]]).cumsum(0)].float()
        logits = model.classifier(model.dropout(F.relu(model.pre_classifier(answers))))
        F.cross_entropy(logits, torch.zeros(len(texts), dtype=torch.long)).backward()
        peft.zero_grad()

    return step


def ours(peft: Any, arguments: argparse.Namespace) -> Callable[[list[list[int]]], None]:
    """A step of ours."""
    packed = PackedDistilBert(peft, DTYPES[arguments.precision])

    def step(texts: list[list[int]]) -> None:
        F.cross_entropy(packed(texts), torch.zeros(len(texts), dtype=torch.long)).backward()
        peft.zero_grad()

    return step


def training(peft: Any, arguments: argparse.Namespace) -> Callable[[list[list[int]]], None]:
    """A step as a training takes it."""
    packed, workers = PackedDistilBert(peft, DTYPES[arguments.precision]), PartWorkers()
    trained = [parameter for parameter in peft.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)

    def step(texts: list[list[int]]) -> None:
        def loss_of(rows: Sequence[int], seed: int) -> Tensor:
            logits = packed([texts[row] for row in rows], seed)
            return F.cross_entropy(logits, torch.zeros(len(rows), dtype=torch.long), reduction="sum") / len(texts)

        parts = even_parts([len(text) for text in texts], TOKENS_A_PART, workers.count)
        workers.add_gradients(loss_of, parts, trained)
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    main()
