"""What a dialect is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Union

from fastapi import APIRouter
from pydantic import BaseModel, Field

from sentilora.labels import Labels
from sentilora.serving.refusals import Refused

# The first mistake is enough: to write down all of a body that holds a million takes seconds and gigabytes.
Texts = Annotated[list[str], Field(fail_fast=True)]


@dataclass(frozen=True)
class Dialect:
    """One published way of asking for classifications.

    Attributes:
        router: Its endpoints.
        error: The body with which it says no.
        refusal: How it says no: the HTTP status and that body.
    """

    router: APIRouter
    error: type[BaseModel]
    refusal: Callable[[Refused], tuple[int, BaseModel]]

    @property
    def responses(self) -> dict[Union[int, str], dict[str, Any]]:
        """Its refusals as OpenAPI describes them."""
        return {
            "4XX": {"model": self.error, "description": "Refused"},
            "5XX": {"model": self.error, "description": "Failed, stopping, or too late"},
        }


class LabelScore(BaseModel):
    """A label and its score."""

    label: str = Field(examples=["positive"])
    score: float = Field(examples=[0.98])


def ranked(labels: Labels, scores: list[float]) -> list[LabelScore]:
    """Labels with their scores, the highest first."""
    pairs = sorted(zip(labels.names, scores), key=lambda pair: -pair[1])
    return [LabelScore(label=label, score=score) for label, score in pairs]
