"""What a dialect is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from sentilora.labels import Labels
from sentilora.serving.refusals import Refused

Body = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """One published way of asking for classifications.

    Attributes:
        router: Its endpoints.
        refusal: How it says no: the HTTP status and the JSON body.
    """

    router: APIRouter
    refusal: Callable[[Refused], tuple[int, Body]]


class LabelScore(BaseModel):
    """A label and its score."""

    label: str = Field(examples=["positive"])
    score: float = Field(examples=[0.98])


def ranked(labels: Labels, scores: list[float]) -> list[LabelScore]:
    """Labels with their scores, the highest first."""
    pairs = sorted(zip(labels.names, scores), key=lambda pair: -pair[1])
    return [LabelScore(label=label, score=score) for label, score in pairs]
