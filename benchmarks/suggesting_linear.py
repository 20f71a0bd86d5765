"""Whether `sentilora suggest` picks texts that teach more than random ones do, often enough to leave chance out of it.

python benchmarks/suggesting_linear.py --base bases/imdb
python benchmarks/suggesting_linear.py --seeds 3 --pool 500 --reviews 1000 --output small

The learner is a logistic regression over what a frozen base makes of a text, which learns in a moment; what is
suggested comes from the command's own function. `suggesting.py` has whole trainings, of which few can be had. Writes
benchmarks/results/suggesting-linear.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any, Callable, Optional

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from accuracy import drawn, imdb
from machine import write_result
from sentilora.inference import Classifier
from sentilora.inference.predictor import Logits
from sentilora.labels import SENTIMENT
from sentilora.modeling.base import find_base
from sentilora.modeling.dropouts import Dropouts
from sentilora.modeling.packed import PackedEncoder
from sentilora.modeling.predictor import batches_by_length
from sentilora.modeling.pretrained import load_pretrained, load_tokenizer
from sentilora.notes import Notes
from sentilora.progress import Progress
from sentilora.tables import LabelledTexts, read_labelled
from sentilora.text import TextEncoder, with_cleaning
from suggesting import ARMS, Learnt, Rows, curve

C = 0.003  # at 0.0003 and 0.03 random labels teach less
MAX_LENGTH = 256
TOKENS_A_BATCH = 2048

Floats = npt.NDArray[np.float32]


class FrozenBase:
    """A base, and what it makes of each text that it has read."""

    def __init__(self, base: str) -> None:
        folder = find_base(base, Notes()).folder
        self.encoder = TextEncoder(with_cleaning(load_tokenizer(folder)), MAX_LENGTH, "head+tail")
        model: Any = load_pretrained(folder, SENTIMENT)
        self._packed = PackedEncoder(model.distilbert.eval(), torch.bfloat16)
        self._known: dict[bytes, Floats] = {}

    def read(self, texts: Sequence[str]) -> None:
        """Keep the last layer's output of each text: that of [CLS], and the mean over the tokens."""
        token_ids = [text.ids for text in self.encoder.encode(texts)]
        with Progress("reading", len(texts)) as progress, torch.inference_mode():
            for rows in batches_by_length([len(ids) for ids in token_ids], TOKENS_A_BATCH):
                some = [token_ids[row] for row in rows]
                lengths = [len(ids) for ids in some]
                hidden = self._packed(some, [range(length) for length in lengths], Dropouts())
                for ids, tokens in zip(some, torch.split(hidden, lengths)):
                    self._known[_key(ids)] = torch.cat([tokens[0], tokens.mean(0)]).numpy()
                progress.advance(len(rows))

    def features(self, token_ids: Sequence[Sequence[int]]) -> Floats:
        """Of encoded texts that it has read, float32 [n, 2 dim]."""
        return np.stack([self._known[_key(ids)] for ids in token_ids])

    def features_of(self, data: LabelledTexts) -> Floats:
        """The same, of texts."""
        return self.features([text.ids for text in self.encoder.encode(data.texts)])


class LinearPredictor:
    """A `Predictor` that looks a text's features up."""

    batch_invariant = True

    def __init__(self, base: FrozenBase, scaler: StandardScaler, model: LogisticRegression) -> None:
        self.base = base
        self.scaler = scaler
        self.model = model

    def logits(self, token_ids: Sequence[Sequence[int]], on_batch: Optional[Callable[[int], Any]] = None) -> Logits:
        """See `Predictor`."""
        margins = self.model.decision_function(self.scaler.transform(self.base.features(token_ids)))
        if on_batch is not None:
            on_batch(len(token_ids))
        result: Logits = np.stack([-margins / 2, margins / 2], axis=1).astype(np.float32)
        return result


class LinearLearner:
    """A `Learner` without a training, tested on features of the base and their labels."""

    def __init__(self, base: FrozenBase, pool: LabelledTexts, tested: Floats, labels: npt.NDArray[np.int64]) -> None:
        self.base = base
        self.scaler = StandardScaler()
        self.pool = pool
        self._features: Floats = self.scaler.fit_transform(base.features_of(pool))
        self._tested: Floats = self.scaler.transform(tested)
        self._labels = labels

    def learn(self, labelled: Rows) -> Learnt:
        """From these rows."""
        model = LogisticRegression(C=C, max_iter=1000).fit(self._features[labelled], self.pool.labels[labelled])
        classifier = Classifier(LinearPredictor(self.base, self.scaler, model), self.base.encoder, SENTIMENT)
        return Learnt([classifier], [float(model.score(self._tested, self._labels))])


def _key(ids: Sequence[int]) -> bytes:
    return np.asarray(ids, np.int32).tobytes()


def gains(points: Sequence[dict[str, Any]], arm: str, budgets: Sequence[int]) -> list[dict[str, Any]]:
    """What the arm has over random labels, seed by seed, at each budget."""
    found = []
    for budget in budgets:
        of_seed = {
            name: {each["seed"]: each["accuracy"] for each in points if (each["arm"], each["labels"]) == (name, budget)}
            for name in (arm, "random")
        }
        gain = [accuracy - of_seed["random"][seed] for seed, accuracy in of_seed[arm].items()]
        found.append(
            {
                "arm": arm,
                "labels": budget,
                "random": statistics.mean(of_seed["random"].values()),
                "accuracy": statistics.mean(of_seed[arm].values()),
                "gain": statistics.mean(gain),
                "standard_error": statistics.stdev(gain) / len(gain) ** 0.5,
                "better": statistics.mean(each > 0 for each in gain),
            }
        )
    return found


def main() -> None:
    """Run the arms over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="How many, from 0.")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["random-then-suggested", "random-then-least-sure"])
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--base", default="embedded")
    parser.add_argument("--pool", type=int, default=3000)
    parser.add_argument("--reviews", type=int, default=20_000, help="To draw pools from, and at most to test on.")
    parser.add_argument("--output", default="suggesting-linear", help="NAME of the result.")
    arguments = parser.parse_args()

    started = time.perf_counter()
    test_table, rest = imdb()
    rest = drawn(rest, arguments.reviews, seed=0)
    test = read_labelled(drawn(test_table, arguments.reviews, seed=0))
    base = FrozenBase(arguments.base)
    base.read([*test.texts, *rest["text"].to_pylist()])
    tested = base.features_of(test)
    points: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        learner = LinearLearner(base, read_labelled(drawn(rest, arguments.pool, seed)), tested, test.labels)
        for arm in ("random", *arguments.arms):
            points += curve(arm, seed, learner, arguments.budgets)
    found = [each for arm in arguments.arms for each in gains(points, arm, arguments.budgets[1:])]
    for each in found:
        print(
            f"{each['arm']}, {each['labels']} labels: {each['accuracy']:.4f} against {each['random']:.4f}, "
            f"gain {each['gain']:.4f} +- {each['standard_error']:.4f}, better in {each['better']:.0%} of the seeds"
        )
    report = {
        "base": arguments.base,
        "seeds": arguments.seeds,
        "pool": arguments.pool,
        "tested": len(test),
        "gains": found,
        "seconds": time.perf_counter() - started,
    }
    write_result(arguments.output, report)


if __name__ == "__main__":
    main()
