"""The ways people already ask for classifications, one module each, over one engine."""

from __future__ import annotations

from starlette.responses import JSONResponse

from sentilora.serving.dialects.base import Dialect
from sentilora.serving.dialects.hub import HUB
from sentilora.serving.dialects.own import OWN
from sentilora.serving.dialects.tei import TEI
from sentilora.serving.dialects.vllm import VLLM
from sentilora.serving.refusals import Refused

DIALECTS = (OWN, TEI, VLLM, HUB)

_BY_PATH = {"/": HUB, "/predict": TEI, "/info": TEI, "/tokenize": TEI, "/classify": VLLM, "/v1/classify": VLLM}


def dialect_of(path: str) -> Dialect:
    """The dialect that a client speaks who asks for `path`, whether there is something or not."""
    if path.startswith("/models/"):
        return HUB
    if path.startswith("/v1/models"):
        return VLLM
    return _BY_PATH.get(path, OWN)


def refusal(path: str, refused: Refused) -> JSONResponse:
    """The answer to a refused request for `path`, in its dialect."""
    status, body = dialect_of(path).refusal(refused)
    return JSONResponse(body.model_dump(), status, refused.headers)


__all__ = ["DIALECTS", "OWN", "Dialect", "dialect_of", "refusal"]
