"""The processes of one training, as `accelerate launch` starts them: each takes its share of every step."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Optional

import torch
import torch.distributed as dist
from accelerate import PartialState

from sentilora.inference.predictor import Logits
from sentilora.modeling.devices import Device

_PRECISION = "ACCELERATE_MIXED_PRECISION"


def launched_precision() -> Optional[str]:
    """What `accelerate launch --mixed_precision` asked for, if anything."""
    asked = os.environ.get(_PRECISION, "no")
    return None if asked == "no" else asked


@contextlib.contextmanager
def without_launched_precision() -> Iterator[None]:
    """Let a Trainer be built by its own settings, and leave none behind, as older versions of Transformers do."""
    asked = os.environ.pop(_PRECISION, None)
    try:
        yield
    finally:
        os.environ.pop(_PRECISION, None)
        if asked is not None:
            os.environ[_PRECISION] = asked


def is_main_process() -> bool:
    """Whether this process is the one that speaks and writes; known before any process has joined."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclass(frozen=True)
class Processes:
    """This process among the others.

    Attributes:
        rank: From 0, which is the one that speaks and writes.
        count: How many there are; 1 where nothing was launched.
        device: PyTorch's name of where this process computes.
    """

    rank: int
    count: int
    device: str

    @classmethod
    def join(cls, device: Device) -> Processes:
        """Meet the other processes."""
        state = PartialState(cpu=device.type == "cpu")
        return cls(state.process_index, state.num_processes, device.type)

    @property
    def main(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0

    def share(self, rows: int) -> range:
        """Which of so many rows are this process's."""
        return range(self.rank, rows, self.count)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            dist.barrier()

    def any(self, truth: bool) -> bool:
        """Whether it is true in any process."""
        return self.sum(torch.tensor(float(truth), device=self.device)).item() > 0

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor's sum over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Give each process the sum of all processes' gradients; a missing one counts as 0."""
        if self.count == 1:
            return
        trained = list(parameters)
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in trained]
        flat = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for parameter, part in zip(trained, flat.split_with_sizes([gradient.numel() for gradient in gradients])):
            parameter.grad = part.view_as(parameter).clone()

    def gathered(self, rows: int, mine: Logits) -> Logits:
        """All rows, float32 [rows, labels], of which each process has its share."""
        if self.count == 1:
            return mine
        everything = torch.zeros((rows, mine.shape[1]), device=self.device)
        everything[list(self.share(rows))] = torch.from_numpy(mine).to(self.device)
        gathered: Logits = self.sum(everything).cpu().numpy()
        return gathered
