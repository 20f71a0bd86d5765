"""Our own dialect: everything a classifier knows."""

from __future__ import annotations

from typing import Optional

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from sentilora.serving.dialects.base import Dialect
from sentilora.serving.engine import ServingEngine
from sentilora.serving.refusals import Refused

router = APIRouter(tags=["sentilora"])


class PredictRequest(BaseModel):
    """Texts, and who shall read them."""

    model_config = ConfigDict(extra="forbid")

    texts: list[str] = Field(min_length=1, examples=[["A gorgeous, moving film."]])
    adapter: Optional[str] = Field(default=None, description="Its name; the first one where none is given.")


class TextPrediction(BaseModel):
    """The answer for one text."""

    label: str = Field(examples=["positive"])
    p_positive: Optional[float] = Field(
        description="Probability of positive; null for labels that are no sentiment.", examples=[0.98]
    )
    confidence: float = Field(description="Probability of the label.", examples=[0.98])
    probabilities: dict[str, float] = Field(
        description="Of every label.", examples=[{"negative": 0.02, "positive": 0.98}]
    )
    truncated: bool = Field(description="Whether the text was too long to be read whole.")


class PredictResponse(BaseModel):
    """One prediction a text, in their order."""

    adapter: str = Field(examples=["reviews"])
    predictions: list[TextPrediction]


class ErrorFacts(BaseModel):
    """What went wrong, for programs and for people."""

    code: str = Field(examples=["too_large"])
    message: str = Field(examples=["a request has at most 2,000,000 bytes"])


class Error(BaseModel):
    """Why there is no answer."""

    error: ErrorFacts


@router.post("/v1/predict", summary="Classify texts")
async def predict(body: PredictRequest, engine: ServingEngine) -> PredictResponse:
    """Label, probability of positive, confidence, and whether a text was too long to be read whole."""
    answer = await engine.answer(body.texts, body.adapter)
    return PredictResponse(
        adapter=answer.adapter,
        predictions=[
            TextPrediction(
                label=prediction.label,
                p_positive=prediction.p_positive,
                confidence=prediction.confidence,
                probabilities=dict(zip(answer.classifier.labels.names, prediction.probabilities)),
                truncated=prediction.truncated,
            )
            for prediction in answer.predictions
        ],
    )


def _refusal(refused: Refused) -> tuple[int, Error]:
    return refused.reason.status, Error(error=ErrorFacts(code=refused.reason.code, message=refused.message))


OWN = Dialect(router, Error, _refusal)
