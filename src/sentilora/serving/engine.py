"""The engine under every dialect: many requests at once over the bundles' workers."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Optional, cast

import numpy as np
from fastapi import Depends, Request

from sentilora.errors import ModelError
from sentilora.inference import Classifier, Prediction
from sentilora.inference.bundle import Bundle
from sentilora.inference.onnx import OnnxPredictor
from sentilora.inference.predictor import Logits
from sentilora.inference.scheduler import OverloadedError
from sentilora.serving.metrics import Metrics
from sentilora.serving.refusals import Reason, Refused
from sentilora.serving.settings import ServingSettings
from sentilora.text import EncodedText, holds_half_a_character

_CHARACTERS_ENCODED_IN_PLACE = 4096  # under a millisecond; handing it to a thread costs as much

_logger = logging.getLogger("sentilora.serving")


@dataclass(frozen=True)
class Answer:
    """What one adapter says of some texts.

    Attributes:
        adapter: Its name.
        classifier: That answered.
        predictions: One a text.
        logits: float32 [texts, labels].
        tokens: Of all texts as the model read them.
    """

    adapter: str
    classifier: Classifier
    predictions: list[Prediction]
    logits: Logits
    tokens: int


class Engine:
    """Answers requests with the adapters of some bundles.

    Attributes:
        default: Name of the adapter that answers where none is named.
        settings: The limits it keeps.
        metrics: Where it counts.
        draining: Set when the server is about to stop.
    """

    def __init__(self, bundles: Sequence[Bundle], settings: ServingSettings) -> None:
        names = [name for bundle in bundles for name in bundle.classifiers]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ModelError(f"two bundles hold an adapter '{min(twice)}': rename one of the folders")
        if not names:
            raise ModelError("the bundles hold no adapter: export a run with sentilora export")
        self._bundles = tuple(bundles)
        self.default = names[0]
        self.settings = settings
        self.draining = False
        self.metrics = Metrics()
        self.metrics.watch_queue(lambda: self.queued)
        self._changing = threading.Lock()

    @property
    def queued(self) -> int:
        """Tokens waiting for a worker."""
        return sum(bundle.scheduler.queued for bundle in self._bundles)

    @property
    def classifiers(self) -> dict[str, Classifier]:
        """The adapters that answer now, by name."""
        return {name: classifier for bundle in self._bundles for name, classifier in bundle.classifiers.items()}

    @property
    def quantisation(self) -> str:
        """How the first adapter's graph computes, in a word."""
        return self._found(self.default)[0].manifest.quantisation.split(" ")[0].rstrip(",")

    def classifier(self, name: Optional[str] = None) -> Classifier:
        """The adapter of that name; the first one where none is named.

        Raises:
            Refused: There is none.
        """
        return self._found(name or self.default)[1]

    async def answer(self, texts: Sequence[str], adapter: Optional[str] = None, *, whole: bool = False) -> Answer:
        """Classify texts. Cancelling the call gives their places in the queue to others.

        Args:
            texts: As many and as long as the settings allow.
            adapter: Its name; None for the first one.
            whole: Refuse a text that would have to be truncated.

        Raises:
            Refused: With the reason for the client.
        """
        name = adapter or self.default
        bundle, classifier = self._found(name)
        if bundle.scheduler.queued >= self.settings.queue_tokens:
            raise _overloaded()
        encoded = await self._encoded(classifier, texts)
        for number, text in enumerate(encoded, start=1):
            if whole and text.truncated:
                raise Refused(
                    Reason.TOO_LONG,
                    f"text {number} of {len(texts)} has {text.length:,} tokens, and at most "
                    f"{classifier.encoder.max_length} are read, special tokens included",
                )
        tokens = sum(len(text.ids) for text in encoded)
        self.check_tokens(tokens)
        logits = await logits_of(classifier, encoded)
        predictions = classifier.predictions(texts, encoded, logits)
        self.metrics.count_predictions(name, predictions)
        if self.settings.log_texts:
            answers = [[prediction.text, prediction.label] for prediction in predictions]
            _logger.info("texts", extra={"facts": {"adapter": name, "answers": answers}})
        return Answer(name, classifier, predictions, logits, tokens)

    def check(self, texts: Sequence[str]) -> None:
        """Keep to the limits on texts.

        Raises:
            Refused: There are too many, one is too long, or one is no text.
        """
        if len(texts) > self.settings.max_texts:
            raise Refused(
                Reason.TOO_LARGE, f"{len(texts)} texts, and at most {self.settings.max_texts} are read at once"
            )
        for number, text in enumerate(texts, start=1):
            if len(text) > self.settings.max_characters:
                raise Refused(
                    Reason.TOO_LARGE,
                    f"text {number} of {len(texts)} has {len(text):,} characters, and at most "
                    f"{self.settings.max_characters:,} are read",
                )
            if holds_half_a_character(text):
                raise Refused(
                    Reason.INVALID, f"text {number} of {len(texts)} holds half of a character (a lone surrogate)"
                )

    def check_tokens(self, tokens: int) -> None:
        """Keep to the limit on the tokens of a request.

        Raises:
            Refused: There are too many.
        """
        most = self.settings.queue_tokens
        if tokens > most:
            raise Refused(
                Reason.TOO_LARGE,
                f"the texts have {tokens:,} tokens together, and at most {most:,} may wait: send fewer at once",
            )

    def load(self, name: str, folder: Path) -> Classifier:
        """Load the adapter in `folder`, or swap it for the one that has its name: at once, between two texts.

        Raises:
            ModelError: No bundle can take it.
        """
        with self._changing:
            holders = [bundle for bundle in self._bundles if name in bundle.classifiers]
            refusals: list[ModelError] = []
            for bundle in holders or self._bundles:
                try:
                    return bundle.load(name, folder)
                except ModelError as error:  # noqa: PERF203 - a few bundles
                    refusals.append(error)
            raise refusals[-1]

    def unload(self, name: str) -> None:
        """Forget an adapter; requests that it answers at the moment still get their answer.

        Raises:
            Refused: There is none of that name, or it is the one that answers by default.
        """
        with self._changing:
            bundle, _ = self._found(name)
            if name == self.default:
                raise Refused(Reason.INVALID, f"'{name}' answers requests that name no adapter: it cannot go")
            bundle.unload(name)

    def _found(self, name: str) -> tuple[Bundle, Classifier]:
        for bundle in self._bundles:
            classifier = bundle.classifiers.get(name)
            if classifier is not None:
                return bundle, classifier
        raise Refused(Reason.UNKNOWN, f"there is no adapter '{name}': GET /v1/adapters names them")

    async def _encoded(self, classifier: Classifier, texts: Sequence[str]) -> list[EncodedText]:
        self.check(texts)
        if sum(map(len, texts)) <= _CHARACTERS_ENCODED_IN_PLACE:
            return classifier.encoder.encode(texts)
        return await asyncio.to_thread(classifier.encoder.encode, texts)


async def logits_of(classifier: Classifier, encoded: Sequence[EncodedText]) -> Logits:
    """The logits, float32 [n, labels], of texts that wait in the queue, at least one; cancelling frees their places.

    Raises:
        Refused: Too much waits already, or the model failed.
    """
    predictor = cast(OnnxPredictor, classifier.predictor)  # every bundle's is one
    futures: list[Future[Logits]] = []
    try:
        for text in encoded:
            futures.append(predictor.submit(text.ids))  # noqa: PERF401 - what was taken before a refusal is let go
        return np.stack(await asyncio.gather(*map(asyncio.wrap_future, futures)))
    except OverloadedError:
        raise _overloaded() from None
    except Exception:
        _logger.exception("the model failed")
        raise Refused(Reason.BROKEN, "the model failed on this request; the server's log says why") from None
    finally:
        for future in futures:
            future.cancel()


def _overloaded() -> Refused:
    return Refused(Reason.OVERLOADED, "too much is waiting already: try again in a second")


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


ServingEngine = Annotated[Engine, Depends(_engine)]
