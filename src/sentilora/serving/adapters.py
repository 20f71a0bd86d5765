"""Endpoints that list, load and unload adapters while the server runs."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Annotated, Optional

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, Field

from sentilora.errors import SentiloraError
from sentilora.inference import Classifier
from sentilora.serving.engine import ServingEngine
from sentilora.serving.keys import bearer, is_known
from sentilora.serving.refusals import Reason, Refused

router = APIRouter(tags=["adapters"])

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

_logger = logging.getLogger("sentilora.serving")


class Adapter(BaseModel):
    """An adapter that answers."""

    name: str = Field(examples=["reviews"])
    labels: list[str] = Field(examples=[["negative", "positive"]])
    max_length: int = Field(description="Most tokens of a text that it reads.", examples=[256])
    default: bool = Field(description="Whether it answers requests that name no adapter.")
    answers_from: Optional[float] = Field(
        description="Confidence below which its label is `uncertain` in our own dialect; null where it answers always.",
        examples=[0.83],
    )


class Adapters(BaseModel):
    """The adapters that answer now."""

    adapters: list[Adapter]


class LoadRequest(BaseModel):
    """Which folder of the server's adapter folder to load."""

    name: str = Field(examples=["restaurants"])


async def _admin(engine: ServingEngine, authorization: Annotated[str, Header(include_in_schema=False)] = "") -> None:
    if not engine.settings.admin_keys:
        raise Refused(Reason.FORBIDDEN, "this server was started without an admin key: its adapters stay as they are")
    key = bearer(authorization)
    if not is_known(key, engine.settings.admin_keys):
        raise Refused(Reason.FORBIDDEN if key else Reason.KEY, "only an admin key may change adapters")


@router.get("/v1/adapters", summary="The adapters that answer now")
async def adapters(engine: ServingEngine) -> Adapters:
    """Name, labels and length of each."""
    return Adapters(adapters=[_described(name, classifier, engine) for name, classifier in engine.classifiers.items()])


@router.post("/v1/adapters", status_code=201, summary="Load an adapter", dependencies=[Depends(_admin)])
def load(body: LoadRequest, engine: ServingEngine) -> Adapter:
    """Load a folder of the server's adapter folder; one of the same name is swapped between two texts."""
    folder = _folder(engine.settings.adapter_folder, body.name)
    try:
        classifier = engine.load(body.name, folder)
    except SentiloraError as error:
        _logger.warning("adapter not loaded: %s", error)
        raise Refused(Reason.INVALID, f"'{body.name}' cannot be loaded; the server's log says why") from None
    return _described(body.name, classifier, engine)


@router.delete("/v1/adapters/{name}", status_code=204, summary="Unload an adapter", dependencies=[Depends(_admin)])
def unload(name: str, engine: ServingEngine) -> None:
    """Forget an adapter. Texts that it is reading are still answered."""
    engine.unload(name)


def _folder(root: Optional[Path], name: str) -> Path:
    """The folder of an adapter, below `root` in every case."""
    if root is None:
        raise Refused(Reason.FORBIDDEN, "this server was started without an adapter folder")
    if not _NAME.fullmatch(name):
        raise Refused(Reason.INVALID, "a name has letters, digits, - and _, at most 64, and begins with no sign")
    folder = (root / name).resolve()
    if folder.parent != root.resolve() or not folder.is_dir():
        raise Refused(Reason.UNKNOWN, f"the adapter folder holds no '{name}'")
    return folder


def _described(name: str, classifier: Classifier, engine: ServingEngine) -> Adapter:
    return Adapter(
        name=name,
        labels=list(classifier.labels.names),
        max_length=classifier.encoder.max_length,
        default=name == engine.default,
        answers_from=None if classifier.answers_from is None else classifier.answers_from.confidence,
    )
