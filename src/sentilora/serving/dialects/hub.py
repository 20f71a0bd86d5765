"""The dialect of the Hub's inference clients, such as `huggingface_hub.InferenceClient`."""

from __future__ import annotations

from typing import Literal, Optional, Union

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from sentilora.serving.dialects.base import Dialect, LabelScore, Texts, ranked
from sentilora.serving.engine import Answer, ServingEngine
from sentilora.serving.refusals import Reason, Refused

router = APIRouter(tags=["Hub"])

Transform = Literal["softmax", "sigmoid", "none"]


class Parameters(BaseModel):
    """How to score, and how many labels to tell."""

    function_to_apply: Optional[Transform] = None
    top_k: Optional[int] = Field(default=None, ge=1)


class ClassificationRequest(BaseModel):
    """One text or several."""

    inputs: Union[str, Texts] = Field(examples=["A gorgeous, moving film."])
    parameters: Optional[Parameters] = None


class HubError(BaseModel):
    """Why there is no answer."""

    error: str = Field(examples=["inputs cannot be empty"])


@router.post("/", summary="Classify texts with the first adapter")
async def classify(body: ClassificationRequest, engine: ServingEngine) -> list[list[LabelScore]]:
    """The labels of each text by score; a text that is too long is cut."""
    return await _answer(body, engine, None)


@router.post("/models/{adapter}", summary="Classify texts with an adapter")
async def classify_with(adapter: str, body: ClassificationRequest, engine: ServingEngine) -> list[list[LabelScore]]:
    """The labels of each text by score; a text that is too long is cut."""
    return await _answer(body, engine, adapter)


async def _answer(body: ClassificationRequest, engine: ServingEngine, adapter: Optional[str]) -> list[list[LabelScore]]:
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    if not texts:
        raise Refused(Reason.EMPTY, "inputs cannot be empty")
    parameters = body.parameters or Parameters()
    answer = await engine.answer(texts, adapter)
    scores = _scores(answer, parameters.function_to_apply or "softmax")
    return [ranked(answer.classifier.labels, row)[: parameters.top_k] for row in scores]


def _scores(answer: Answer, transform: Transform) -> list[list[float]]:
    if transform == "softmax":
        return [list(prediction.probabilities) for prediction in answer.predictions]
    logits = answer.logits.astype(np.float64)
    scores: list[list[float]] = (logits if transform == "none" else 1 / (1 + np.exp(-logits))).tolist()
    return scores


def _refusal(refused: Refused) -> tuple[int, HubError]:
    return refused.reason.status, HubError(error=refused.message)


HUB = Dialect(router, HubError, _refusal)
