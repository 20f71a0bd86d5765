"""Which linear layers become integers, and how: a ladder from the fastest to the safest."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from sentilora.notes import Notes

Floats = npt.NDArray[np.float32]
# Largest absolute value of each input, [in], of a linear layer, by its place in the graph (`layer.3.lin1`).
Ranges = Mapping[str, Floats]
NO_RANGES: Ranges = MappingProxyType({})

_TINY = 1e-5
_ALPHA = 0.8  # of 0.3 to 1, that with the smallest error on two adapters
BLOCK = 32  # inputs that share a scale in a block-wise layer


@dataclass(frozen=True)
class Quantisation:
    """How the linear layers of a graph compute.

    Attributes:
        name: As it is printed and recorded.
        largest: Of the quantised weights, which are scaled per output; 0 means fp32. Processors without VNNI add pairs
            of products in 16 bits: above 64 their sums can saturate and the answers be wrong.
        blocks: Kinds of layers (such as `lin2`) with 8-bit weights scaled by blocks of 32 inputs instead.
        floats: Kinds of layers that stay in fp32.
        smoothed: Whether columns of a layer's inputs are scaled to be more alike, and its weights against it.
    """

    name: str
    largest: int
    blocks: frozenset[str] = frozenset()
    floats: frozenset[str] = frozenset()
    smoothed: bool = False


FP32 = Quantisation("fp32", 0)


def _rungs(name: str, largest: int) -> tuple[Quantisation, ...]:
    """From the fastest to the safest."""
    smooth = f"{name}, smoothed"
    return (
        Quantisation(name, largest),
        Quantisation(smooth, largest, smoothed=True),
        Quantisation(f"{smooth}, FFN output in 8-bit blocks", largest, blocks=frozenset({"lin2"}), smoothed=True),
        Quantisation(f"{smooth}, FFN output in fp32", largest, floats=frozenset({"lin2"}), smoothed=True),
        Quantisation(f"{smooth}, FFN in fp32", largest, floats=frozenset({"lin1", "lin2"}), smoothed=True),
    )


LADDER = _rungs("int8", 127)
LADDER_WITHOUT_VNNI = _rungs("int8 with 7-bit weights", 64)


def ladder(notes: Notes) -> tuple[Quantisation, ...]:
    """What to try on this processor, the fastest first."""
    if platform.machine().lower() in ("x86_64", "amd64") and not _has_vnni():
        notes.say("this processor has no VNNI: weights have 7 bits, as sums of 8-bit ones could saturate here")
        return LADDER_WITHOUT_VNNI
    return LADDER


def _has_vnni() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and bool(re.search(r"\bavx(512)?_vnni\b", cpuinfo.read_text("utf-8")))


def smoothing(ranges: Floats, weight: Floats) -> Floats:
    """By what to divide each input, [in], of a weight [in, out], and to multiply the weight's rows.

    Most of the difference between columns moves into the weights (SmoothQuant: Xiao et al., 2023, section 4): one scale
    serves all columns of a text, and a few large ones would leave the others few steps. Weights have a scale an output,
    and bear it better.
    """
    largest = np.maximum(np.abs(weight).max(axis=1), _TINY)
    return np.asarray(np.maximum(ranges, _TINY) ** _ALPHA / largest ** (1 - _ALPHA), dtype=np.float32)


def per_output(weight: Floats, largest: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Symmetric integers of a weight [in, out], and the scale of each output, [out]."""
    scale = np.abs(weight).max(axis=0) / largest
    scale[scale == 0] = 1
    return np.clip(np.rint(weight / scale), -largest, largest).astype(np.int8), scale.astype(np.float32)


def per_block(weight: Floats) -> tuple[npt.NDArray[np.uint8], Floats]:
    """A weight [in, out] as MatMulNBits has it: uint8 [out, blocks, 32] around 128, and scales [out * blocks]."""
    blocks: Any = weight.T.reshape(weight.shape[1], -1, BLOCK)
    scale = np.abs(blocks).max(axis=-1) / 127
    scale[scale == 0] = 1
    integers = np.clip(np.rint(blocks / scale[..., None]), -127, 127) + 128
    return integers.astype(np.uint8), scale.astype(np.float32).ravel()
