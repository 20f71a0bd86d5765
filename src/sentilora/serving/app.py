"""The application: dialects, adapters, health, metrics and the page over one engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from sentilora._version import __version__
from sentilora.inference.bundle import Bundle
from sentilora.serving import adapters, page
from sentilora.serving.dialects import DIALECTS, OWN, refusal
from sentilora.serving.engine import Engine, ServingEngine
from sentilora.serving.guard import Guard
from sentilora.serving.observation import Observation
from sentilora.serving.refusals import Reason, Refused
from sentilora.serving.settings import ServingSettings

_operations = APIRouter(tags=["operations"])


class Health(BaseModel):
    """That the process lives."""

    status: Literal["ok"] = "ok"


def create_app(bundles: Sequence[Bundle], settings: ServingSettings) -> FastAPI:
    """An application that answers with the adapters of `bundles`, which stay the caller's to close.

    Raises:
        ModelError: Two bundles hold adapters of one name.
    """
    app = endpoints()
    engine = Engine(bundles, settings)
    app.state.engine = engine
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unserved)
    app.add_middleware(Guard, settings=settings)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    app.add_middleware(Observation, metrics=engine.metrics)
    return app


def endpoints() -> FastAPI:
    """The application without what answers: enough for its OpenAPI description."""
    app = FastAPI(
        title="sentilora",
        version=__version__,
        summary="Text classification over adapters",
        docs_url=None,  # its scripts come from other hosts
        redoc_url=None,
        redirect_slashes=False,
    )
    for dialect in DIALECTS:
        app.include_router(dialect.router, responses=dialect.responses)
    app.include_router(adapters.router, responses=OWN.responses)
    app.include_router(_operations, responses=OWN.responses)
    app.include_router(page.router)
    return app


@_operations.head("/health", include_in_schema=False)
@_operations.get("/health", summary="Whether the process lives")
async def health() -> Health:
    """Always ok: a process that cannot say so should be restarted."""
    return Health()


@_operations.head("/ready", include_in_schema=False)
@_operations.get("/ready", summary="Whether to send requests here")
async def ready(engine: ServingEngine) -> Health:
    """503 from the moment on that the server is asked to stop."""
    if engine.draining:
        raise Refused(Reason.DRAINING, "stopping: what was accepted is still answered")
    return Health()


@_operations.get("/metrics", summary="Numbers for Prometheus", response_class=Response)
async def metrics(engine: ServingEngine) -> Response:
    """Requests, latency, queue, and what the adapters answer."""
    return Response(engine.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - as it was registered
    return refusal(request.url.path, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as it was registered
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    message = f"{place}: {first['msg']}" if place else first["msg"]
    if first["type"] == "json_invalid":
        message = f"the body is no JSON, seen at character {place}"
    elif first["type"] == "model_attributes_type" and not place:
        message = "the body is no JSON object: send one, with Content-Type: application/json"
    return refusal(request.url.path, Refused(Reason.INVALID, message))


async def _unserved(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as it was registered
    response = refusal(request.url.path, Refused(Reason.of_status(error.status_code), str(error.detail)))
    response.headers.update(error.headers or {})
    return response
