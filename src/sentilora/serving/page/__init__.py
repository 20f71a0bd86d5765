"""The web page at `/`, from files of our own only."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent


@router.get("/")
async def page() -> Response:
    """The page itself."""
    return Response((_FOLDER / "page.html").read_bytes(), media_type="text/html")


@router.get("/page/page.css")
async def style() -> Response:
    """How it looks."""
    return Response((_FOLDER / "page.css").read_bytes(), media_type="text/css")


@router.get("/page/page.js")
async def script() -> Response:
    """What it does."""
    return Response((_FOLDER / "page.js").read_bytes(), media_type="text/javascript")
