"""Speed and memory of LoRA training, against the usual notebook and against the Trainer at its best.

python benchmarks/training.py --shape distilbert --max-length 256 --rounds 3

| variant | |
|---|---|
| notebook | Transformers' Trainer + PEFT, padded to the longest allowed, fp32, default dropouts |
| trainer | the same at its best: grouped by length, bf16 autocast, no dropout in the base |
| same | sentilora with the notebook's own recipe: fp32, all dropouts |
| default | sentilora as it comes |

Each variant trains on the same texts in a process of its own, one after the other, round by round; a figure is the
median over the rounds. Writes benchmarks/results/training-SHAPE-LENGTH.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from machine import peak_mb, write_result

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "imdb_train.parquet"
BATCH = 16
VARIANTS = ("notebook", "trainer", "same", "default")


def main() -> None:
    """Run the rounds, or one variant of one round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("distilbert", "embedded"), default="distilbert")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--texts", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        measure = {"notebook": with_trainer, "trainer": with_trainer}.get(arguments.worker, with_sentilora)
        print(json.dumps(measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        base = base_of(arguments.shape, Path(folder))
        rounds = [
            {variant: run(arguments, variant, base) for variant in arguments.variants} for _ in range(arguments.rounds)
        ]
    report(arguments, rounds)


def run(arguments: argparse.Namespace, variant: str, base: Path) -> dict[str, float]:
    """One variant, in a new process."""
    options = {name: getattr(arguments, name.replace("-", "_")) for name in ("shape", "max-length", "texts", "epochs")}
    command = [sys.executable, __file__, "--worker", variant, "--base", str(base)]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        sys.exit(f"{variant}: {process.stderr}")
    result: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    print(f"{variant}: {result['texts_per_second']:.2f} texts/s, {result['peak_mb']:.0f} MB", flush=True)
    return result


def report(arguments: argparse.Namespace, rounds: list[dict[str, dict[str, float]]]) -> None:
    """Print and keep the medians, and the ratios within each round."""
    medians = {
        variant: {name: statistics.median(each[variant][name] for each in rounds) for name in rounds[0][variant]}
        for variant in arguments.variants
    }
    ratios = {}
    for ours, theirs in (("same", "notebook"), ("default", "notebook"), ("default", "trainer")):
        if {ours, theirs} <= set(arguments.variants):
            within = [each[ours]["texts_per_second"] / each[theirs]["texts_per_second"] for each in rounds]
            ratios[f"{ours} against {theirs}"] = statistics.median(within)
    for name, ratio in ratios.items():
        print(f"{arguments.shape}, max {arguments.max_length}: {name}: {ratio:.2f}x")
    result = {
        "shape": arguments.shape,
        "max_length": arguments.max_length,
        "texts": arguments.texts,
        "epochs": arguments.epochs,
        "medians": medians,
        "ratios": ratios,
        "rounds": rounds,
    }
    write_result(f"training-{arguments.shape}-{arguments.max_length}", result)


def base_of(shape: str, folder: Path) -> Path:
    """A base of the true shape: the embedded one, or DistilBERT's with random weights, which are as fast."""
    from transformers import DistilBertConfig, DistilBertModel

    from sentilora.modeling.base import find_base
    from sentilora.notes import Notes

    embedded = find_base("embedded", Notes()).folder
    if shape == "embedded":
        return embedded
    DistilBertModel(DistilBertConfig()).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (embedded / name).is_file():
            (folder / name).write_bytes((embedded / name).read_bytes())
    return folder


def reviews(count: int) -> dict[str, Any]:
    """So many reviews, evenly spread over the lengths of all of them, in random order."""
    table = pq.read_table(DATA)
    lengths = np.array([len(text) for text in table["text"].to_pylist()])
    rows = np.argsort(lengths)[np.linspace(0, len(lengths) - 1, count).round().astype(int)]
    chosen = table.take(np.random.default_rng(0).permutation(rows))
    return {"text": chosen["text"].to_pylist(), "label": [int(label) for label in chosen["label"].to_pylist()]}


def with_trainer(arguments: argparse.Namespace) -> dict[str, float]:
    """The notebook, or the Trainer at its best."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    class Clock(TrainerCallback):  # type: ignore[misc]
        seconds = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds += time.monotonic() - self.began

    best = arguments.worker == "trainer"
    torch.manual_seed(0)
    dropouts = {"dropout": 0.0, "attention_dropout": 0.0} if best else {}
    model = AutoModelForSequenceClassification.from_pretrained(arguments.base, dtype=torch.float32, **dropouts)
    lora = LoraConfig(task_type=TaskType.SEQ_CLS, r=4, lora_alpha=32, lora_dropout=0.01, target_modules=["q_lin"])
    tokenizer = AutoTokenizer.from_pretrained(arguments.base)
    texts = reviews(arguments.texts)
    padding = {} if best else {"padding": "max_length"}
    encoded = tokenizer(texts["text"], truncation=True, max_length=arguments.max_length, **padding)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=get_peft_model(model, lora),
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=arguments.epochs,
                per_device_train_batch_size=BATCH,
                learning_rate=1e-3,
                use_cpu=True,
                bf16=best,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
                logging_strategy="no",
                train_sampling_strategy="group_by_length" if best else "random",
            ),
            train_dataset=Dataset.from_dict(
                {
                    "input_ids": encoded["input_ids"],
                    "attention_mask": encoded["attention_mask"],
                    "labels": texts["label"],
                }
            ),
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[clock],
        )
        trainer.train()
    return figures(arguments, clock.seconds)


def with_sentilora(arguments: argparse.Namespace) -> dict[str, float]:
    """Ours, with the notebook's recipe or by default."""
    import pyarrow as pa

    import sentilora

    same: dict[str, Any] = {"precision": "fp32", "base_dropout": 0.1, "attention_dropout": 0.1}
    recipe = same if arguments.worker == "same" else {}
    with tempfile.TemporaryDirectory() as folder:
        run = sentilora.train(
            base=str(arguments.base),
            data=pa.table(reviews(arguments.texts)),
            validation=pa.table({"text": ["good", "bad"], "label": [1, 0]}),
            max_length=arguments.max_length,
            epochs=arguments.epochs,
            output=Path(folder) / "run",
            **recipe,
        )
    return figures(arguments, run.record.training_seconds)


def figures(arguments: argparse.Namespace, seconds: float) -> dict[str, float]:
    """Real texts a second over all steps, and the peak memory of this process."""
    return {"texts_per_second": arguments.texts * arguments.epochs / seconds, "peak_mb": peak_mb()}


if __name__ == "__main__":
    main()
