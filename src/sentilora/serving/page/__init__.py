"""The web page at `/`, from files of our own only."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

from sentilora.serving.refusals import Reason, Refused

router = APIRouter(include_in_schema=False)

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_FILES = {path.name: path for path in Path(__file__).parent.iterdir() if path.suffix in _TYPES}
_BYTES = {name: path.read_bytes() for name, path in _FILES.items()}


@router.head("/")
@router.get("/")
async def page() -> Response:
    """The page itself."""
    return await file("page.html")


@router.head("/page/{name}")
@router.get("/page/{name}")
async def file(name: str) -> Response:
    """One of the files it is made of."""
    if name not in _FILES:
        raise Refused(Reason.UNKNOWN, "the page has no such file")
    return Response(_BYTES[name], media_type=_TYPES[_FILES[name].suffix])
