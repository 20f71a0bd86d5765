"""The names that a bundle's graph and what feeds it agree on."""

from __future__ import annotations

from dataclasses import astuple, dataclass

IDS = "input_ids"
LOGITS = "logits"


@dataclass(frozen=True)
class HeadInputs:
    """Names of the classification head's arrays.

    Attributes:
        inner_weight: [dim, dim], before the ReLU.
        inner_bias: [dim].
        outer_weight: [dim, labels].
        outer_bias: [labels].
    """

    inner_weight: str
    inner_bias: str
    outer_weight: str
    outer_bias: str

    @classmethod
    def named(cls) -> HeadInputs:
        """As inputs of a graph that takes adapters."""
        return cls("head.inner.weight", "head.inner.bias", "head.outer.weight", "head.outer.bias")

    @property
    def names(self) -> tuple[str, ...]:
        """All four."""
        return astuple(self)


def down_input(layer: int, kind: str) -> str:
    """Name of the first matrix, [in, rank], of the update of a layer's linear map of this kind.

    Kinds are `qkv` (in the last layer `q` and `kv`), `out`, `lin1` and `lin2`.
    """
    return f"layer.{layer}.{kind}.down"


def is_down_input(name: str) -> bool:
    """Whether an input of this name is such a first matrix."""
    return name.endswith(".down")


def up_input(layer: int, kind: str) -> str:
    """Name of the second matrix, [rank, out], the scaling included."""
    return f"layer.{layer}.{kind}.up"
