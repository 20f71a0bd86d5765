"""The dialect of Hugging Face's text-embeddings-inference, for classification models."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Optional, Union

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StrictBool, TypeAdapter
from tokenizers import Encoding

from sentilora._version import __version__
from sentilora.serving.dialects.base import Dialect, LabelScore, Texts, ranked
from sentilora.serving.engine import ServingEngine
from sentilora.serving.refusals import Reason, Refused

router = APIRouter(tags=["text-embeddings-inference"])

_ERRORS = {
    Reason.EMPTY: (400, "Empty"),
    Reason.TOO_LARGE: (413, "Validation"),
    Reason.TOO_LONG: (413, "Validation"),
    Reason.INVALID: (422, "Tokenizer"),
    Reason.BROKEN: (424, "Backend"),
    Reason.LATE: (424, "Backend"),
    Reason.OVERLOADED: (429, "Overloaded"),
    Reason.DRAINING: (503, "Unhealthy"),
}


class TeiPredictRequest(BaseModel):
    """A text, or a batch of lists of one text each. Two texts in one list are a pair, which is refused."""

    inputs: Union[str, Annotated[list[Union[str, Texts]], Field(fail_fast=True)]] = Field(
        examples=["A gorgeous, moving film."]
    )
    truncate: Optional[StrictBool] = Field(
        default=False, description="Cut a text that is too long, rather than refuse it."
    )
    raw_scores: StrictBool = Field(default=False, description="Logits in place of probabilities.")


class TokenizeRequest(BaseModel):
    """Texts to be cut into tokens."""

    inputs: Union[str, Texts] = Field(examples=["A gorgeous, moving film."])
    add_special_tokens: StrictBool = True


class Token(BaseModel):
    """One token; `start` and `stop` count characters of the text."""

    id: int = Field(examples=[1037])
    text: str = Field(examples=["A"])
    special: bool
    start: Optional[int] = Field(examples=[0])
    stop: Optional[int] = Field(examples=[1])


_TOKENS = TypeAdapter(list[Token])


class ClassifierModel(BaseModel):
    """The labels both ways."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class ModelType(BaseModel):
    """That this is a classifier."""

    classifier: ClassifierModel


class Info(BaseModel):
    """The model that `/predict` asks, and the limits."""

    model_id: str = Field(examples=["reviews"])
    model_sha: Optional[str] = None
    model_dtype: str
    model_type: ModelType
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: Optional[int] = None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: Optional[str] = None
    docker_label: Optional[str] = None


class TeiError(BaseModel):
    """Why there is no answer."""

    error: str = Field(examples=["the texts have 70,000 tokens together, and at most 65,536 may wait"])
    error_type: str = Field(examples=["Validation"])


@router.post("/predict", summary="Classify a text or a batch")
async def predict(body: TeiPredictRequest, engine: ServingEngine) -> Union[list[LabelScore], list[list[LabelScore]]]:
    """A flat list of labels by score for a text; a list of such lists for a batch."""
    texts, batch = _texts(body.inputs)
    if not texts or not all(texts):
        raise Refused(Reason.EMPTY, "`inputs` cannot be empty")
    answer = await engine.answer(texts, whole=not body.truncate)
    scores = (
        answer.logits.tolist()
        if body.raw_scores
        else [list(prediction.probabilities) for prediction in answer.predictions]
    )
    lists = [ranked(answer.classifier.labels, row) for row in scores]
    return lists if batch else lists[0]


@router.get("/info", summary="The model and the limits")
async def info(engine: ServingEngine) -> Info:
    """What text-embeddings-inference tells of itself, told of the first adapter."""
    classifier = engine.classifier()
    names = classifier.labels.names
    return Info(
        model_id=engine.default,
        model_dtype=engine.quantisation,
        model_type=ModelType(
            classifier=ClassifierModel(
                id2label={str(index): name for index, name in enumerate(names)},
                label2id={name: index for index, name in enumerate(names)},
            )
        ),
        max_concurrent_requests=engine.settings.queue_tokens // classifier.encoder.max_length,
        max_input_length=classifier.encoder.max_length,
        max_batch_tokens=engine.settings.queue_tokens,
        max_client_batch_size=engine.settings.max_texts,
        auto_truncate=False,
        tokenization_workers=1,
        version=__version__,
    )


@router.post("/tokenize", summary="Cut texts into tokens", response_model=list[list[Token]])
async def tokenize(body: TokenizeRequest, engine: ServingEngine) -> Response:
    """The tokens of each text, none cut off."""
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    engine.check(texts)
    tokenizer = engine.classifier().encoder.tokenizer
    encodings = await asyncio.to_thread(tokenizer.encode_batch, texts, add_special_tokens=body.add_special_tokens)
    engine.check_tokens(sum(map(len, encodings)))
    return Response(await asyncio.to_thread(_tokens, texts, encodings), media_type="application/json")


def _tokens(texts: Sequence[str], encodings: Sequence[Encoding]) -> bytes:
    """JSON, a text after the other, so that other threads get their turn in between."""
    lists = [
        _TOKENS.dump_json(
            [
                _token(text, number, token, offsets, bool(special))
                for number, token, offsets, special in zip(
                    encoding.ids, encoding.tokens, encoding.offsets, encoding.special_tokens_mask
                )
            ]
        )
        for text, encoding in zip(texts, encodings)
    ]
    return b"[" + b",".join(lists) + b"]"


def _token(text: str, number: int, token: str, offsets: tuple[int, int], special: bool) -> Token:
    if special:
        return Token(id=number, text=token, special=True, start=None, stop=None)
    start, stop = offsets
    return Token(id=number, text=text[start:stop], special=False, start=start, stop=stop)


def _texts(inputs: Union[str, list[Union[str, list[str]]]]) -> tuple[list[str], bool]:
    """The texts, and whether they are a batch."""
    if isinstance(inputs, str):
        return [inputs], False
    singles = [item for item in inputs if isinstance(item, str)]
    batch = [item for item in inputs if not isinstance(item, str)]
    if singles and batch:
        raise Refused(Reason.INVALID, 'a batch is a list of lists of one text each: [["a"], ["b"]]')
    if len(singles) > 1 or any(len(item) > 1 for item in batch):
        raise Refused(Reason.INVALID, 'two texts in a list are a pair, which is not read; a batch is [["a"], ["b"]]')
    return singles or [text for item in batch for text in item or [""]], not singles


def _refusal(refused: Refused) -> tuple[int, TeiError]:
    status, kind = _ERRORS.get(refused.reason, (refused.reason.status, "Validation"))
    return status, TeiError(error=refused.message, error_type=kind)


TEI = Dialect(router, TeiError, _refusal)
