"""Our own dialect: everything a classifier knows."""

from __future__ import annotations

from typing import Any, Optional

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from sentilora.inference import Explanation
from sentilora.serving.dialects.base import Dialect, Texts
from sentilora.serving.engine import Answer, ServingEngine
from sentilora.serving.explaining import explain
from sentilora.serving.refusals import Refused

router = APIRouter(tags=["sentilora"])


class PredictRequest(BaseModel):
    """Texts, and who shall read them."""

    model_config = ConfigDict(extra="forbid")

    texts: Texts = Field(min_length=1, examples=[["A gorgeous, moving film."]])
    adapter: Optional[str] = Field(default=None, description="Its name; the first one where none is given.")
    explain: StrictBool = Field(
        default=False,
        description="Also say which words made each answer what it is; takes up to 40 times as long.",
        examples=[True],
    )

    @model_validator(mode="before")
    @classmethod
    def _one_unknown_field_is_enough(cls, body: Any) -> Any:
        """As with `Texts`: each of them would be written down."""
        if not isinstance(body, dict):
            return body
        unknown = next((name for name in body if name not in cls.model_fields), None)
        return {name: value for name, value in body.items() if name in cls.model_fields or name == unknown}


class Span(BaseModel):
    """A word, or in a long text a phrase, and what it did to the answer."""

    start: int = Field(description="Its first character, counted in code points from 0.", examples=[2])
    end: int = Field(description="The character after its last.", examples=[11])
    text: str = Field(examples=["gorgeous,"])
    effect: float = Field(
        description="By how much the log-odds of the explained label fall when it is left out.", examples=[2.31]
    )


class Part(BaseModel):
    """A part of a text."""

    start: int = Field(examples=[1400])
    end: int = Field(examples=[2210])


class TextExplanation(BaseModel):
    """What each word did to an answer."""

    label: str = Field(description="The most probable label, which the effects are on.", examples=["positive"])
    spans: list[Span] = Field(description="In the order of the text.")
    hidden: list[Part] = Field(description="What was too much to be read.", examples=[[]])
    passes: int = Field(description="How many texts the model read for this.", examples=[5])

    @classmethod
    def of(cls, explanation: Explanation) -> TextExplanation:
        """The same as JSON holds it."""
        return cls(
            label=explanation.label,
            spans=[Span(**vars(span)) for span in explanation.spans],
            hidden=[Part(start=start, end=end) for start, end in explanation.hidden],
            passes=explanation.passes,
        )


class TextPrediction(BaseModel):
    """The answer for one text."""

    label: str = Field(
        description="The most probable one; `uncertain` where the server was asked for a precision and its probability "
        "does not reach it.",
        examples=["positive"],
    )
    p_positive: Optional[float] = Field(
        description="Probability of positive; null for labels that are no sentiment.", examples=[0.98]
    )
    confidence: float = Field(description="Probability of the most probable label.", examples=[0.98])
    probabilities: dict[str, float] = Field(
        description="Of every label.", examples=[{"negative": 0.02, "positive": 0.98}]
    )
    truncated: bool = Field(description="Whether the text was too long to be read whole.", examples=[False])
    readable: bool = Field(
        description="Whether it holds anything that the model knows; where not, the answer means nothing.",
        examples=[True],
    )
    explanation: Optional[TextExplanation] = Field(default=None, description="Only where it was asked for.")


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


class Limits(BaseModel):
    """What a request may hold."""

    max_texts: int = Field(description="Texts.", examples=[256])
    max_characters: int = Field(description="Characters of a text.", examples=[100_000])
    max_tokens: int = Field(description="Tokens of all texts, each cut to what the model reads.", examples=[65_536])
    max_body: int = Field(description="Bytes.", examples=[2_000_000])


@router.post("/v1/predict", summary="Classify texts", response_model_exclude_unset=True)
async def predict(body: PredictRequest, engine: ServingEngine) -> PredictResponse:
    """Label, probability of positive, confidence, and whether a text was too long to be read whole."""
    answer = await engine.answer(body.texts, body.adapter)
    predictions = _predictions(answer)
    if body.explain:
        for prediction, explanation in zip(predictions, await explain(engine, answer)):
            prediction.explanation = TextExplanation.of(explanation)
    return PredictResponse(adapter=answer.adapter, predictions=predictions)


@router.get("/v1/limits", summary="What a request may hold")
async def limits(engine: ServingEngine) -> Limits:
    """So that a client with many texts knows how to part them."""
    settings = engine.settings
    return Limits(
        max_texts=settings.max_texts,
        max_characters=settings.max_characters,
        max_tokens=settings.queue_tokens,
        max_body=settings.max_body,
    )


def _predictions(answer: Answer) -> list[TextPrediction]:
    return [
        TextPrediction(
            label=prediction.label,
            p_positive=prediction.p_positive,
            confidence=prediction.confidence,
            probabilities=dict(zip(answer.classifier.labels.names, prediction.probabilities)),
            truncated=prediction.truncated,
            readable=prediction.readable,
        )
        for prediction in answer.predictions
    ]


def _refusal(refused: Refused) -> tuple[int, Error]:
    return refused.reason.status, Error(error=ErrorFacts(code=refused.reason.code, message=refused.message))


OWN = Dialect(router, Error, _refusal)
