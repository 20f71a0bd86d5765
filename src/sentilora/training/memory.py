"""What training has the libraries below it do with memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from sentilora.inference.allocation import give_back_freed_blocks, keep_freed_blocks

_KERNELS = 128  # a layer's products, forward or backward, of both parts at once, need 100 at most
_PLANS = 64  # of each thread; those of one part's


def few_kernels_kept() -> None:
    """Let oneDNN, and PyTorch above it, keep few kernels, if none was made yet and the user says nothing else.

    One is made for each shape of a product, and steps of other texts have other shapes. Of the 1,024 kernels that
    oneDNN keeps otherwise, and the 1,024 plans for them that PyTorch keeps for each thread, a third of a megabyte each,
    memory grows from epoch to epoch.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS))
    os.environ.setdefault("LRU_CACHE_CAPACITY", str(_PLANS))


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep the memory of one step for the next, where the C library can, and give it back at the end.

    Without it a step has some tens of thousands of page faults, a twentieth of its time.
    """
    keep_freed_blocks(whole=True)
    try:
        yield
    finally:
        keep_freed_blocks()
        give_back_freed_blocks()
