"""Our own dialect: everything a classifier knows."""

from __future__ import annotations

from typing import Optional

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from sentilora.serving.dialects.base import Body, Dialect
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
    truncated: bool = Field(description="Whether the text was too long to be read whole.")


class PredictResponse(BaseModel):
    """One prediction a text, in their order."""

    adapter: str = Field(examples=["reviews"])
    predictions: list[TextPrediction]


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
                truncated=prediction.truncated,
            )
            for prediction in answer.predictions
        ],
    )


def _refusal(refused: Refused) -> tuple[int, Body]:
    return refused.reason.status, {"error": {"code": refused.reason.code, "message": refused.message}}


OWN = Dialect(router, _refusal)
