"""The dialect of vLLM's and SGLang's classification endpoints."""

from __future__ import annotations

import time
import uuid
from typing import Literal, Optional, Union

from fastapi import APIRouter
from pydantic import BaseModel, Field

from sentilora.serving.dialects.base import Dialect, Texts
from sentilora.serving.engine import ServingEngine
from sentilora.serving.refusals import Reason, Refused

router = APIRouter(tags=["vLLM and SGLang"])

_STARTED = int(time.time())
# Where vLLM's status or type differs from the reason's own.
_STATUSES = {Reason.INVALID: 400, Reason.TOO_LONG: 400}
_TYPES = {
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "ServiceUnavailableError",
    504: "TimeoutError",
}


class ClassifyRequest(BaseModel):
    """One text or several."""

    model: Optional[str] = Field(default=None, description="The adapter's name; the first one where none is given.")
    input: Union[str, Texts] = Field(examples=["A gorgeous, moving film."])
    truncate_prompt_tokens: Optional[int] = Field(
        default=None, description="-1 to cut a text that is too long; without it such a text is refused."
    )
    use_activation: Optional[bool] = Field(default=True, description="Probabilities; logits where false.")


class Classification(BaseModel):
    """The answer for one text."""

    index: int = Field(examples=[0])
    label: str = Field(examples=["positive"])
    probs: list[float] = Field(examples=[[0.02, 0.98]])
    num_classes: int = Field(examples=[2])


class Usage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int = Field(examples=[7])
    total_tokens: int = Field(examples=[7])
    completion_tokens: int = 0
    prompt_tokens_details: None = None


class ClassifyResponse(BaseModel):
    """One classification a text, in their order."""

    id: str = Field(examples=["classify-9bf17f28"])
    object: Literal["list"] = "list"
    created: int
    model: str = Field(examples=["reviews"])
    data: list[Classification]
    usage: Usage


class Model(BaseModel):
    """An adapter as a model."""

    id: str = Field(examples=["reviews"])
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["sentilora"] = "sentilora"
    root: str
    parent: None = None
    max_model_len: int


class Models(BaseModel):
    """The adapters that answer now."""

    object: Literal["list"] = "list"
    data: list[Model]


class VllmErrorFacts(BaseModel):
    """What went wrong."""

    message: str = Field(examples=["input cannot be empty"])
    type: str = Field(examples=["BadRequestError"])
    param: None = None
    code: int = Field(description="The HTTP status.", examples=[400])


class VllmError(BaseModel):
    """Why there is no answer."""

    error: VllmErrorFacts


@router.post("/classify", summary="Classify texts (vLLM)")
@router.post("/v1/classify", summary="Classify texts (SGLang)")
async def classify(body: ClassifyRequest, engine: ServingEngine) -> ClassifyResponse:
    """Label and probabilities of each text."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    if not texts:
        raise Refused(Reason.EMPTY, "input cannot be empty")
    longest = engine.classifier(body.model).encoder.max_length
    asked = body.truncate_prompt_tokens
    if asked is not None and asked != -1 and asked < longest:
        raise Refused(Reason.INVALID, f"truncate_prompt_tokens is -1, or {longest} and more: this model cuts there")
    answer = await engine.answer(texts, body.model, whole=asked is None)
    scores = (
        answer.logits.tolist()
        if body.use_activation is False
        else [list(prediction.probabilities) for prediction in answer.predictions]
    )
    names = answer.classifier.labels.names
    return ClassifyResponse(
        id=f"classify-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=answer.adapter,
        data=[
            Classification(index=index, label=names[probs.index(max(probs))], probs=probs, num_classes=len(probs))
            for index, probs in enumerate(scores)
        ],
        usage=Usage(prompt_tokens=answer.tokens, total_tokens=answer.tokens),
    )


@router.get("/v1/models", summary="The adapters as models")
async def models(engine: ServingEngine) -> Models:
    """The adapters that answer now, as OpenAI's API lists models."""
    return Models(
        data=[
            Model(id=name, created=_STARTED, root=name, max_model_len=classifier.encoder.max_length)
            for name, classifier in engine.classifiers.items()
        ]
    )


def _refusal(refused: Refused) -> tuple[int, VllmError]:
    status = _STATUSES.get(refused.reason, refused.reason.status)
    kind = _TYPES.get(status, "BadRequestError")
    return status, VllmError(error=VllmErrorFacts(message=refused.message, type=kind, code=status))


VLLM = Dialect(router, VllmError, _refusal)
