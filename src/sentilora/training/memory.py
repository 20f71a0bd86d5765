"""What training has the libraries below it do with memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from sentilora.inference.allocation import give_back_freed_blocks, keep_freed_blocks

_KERNELS = 128  # a layer's products, forward or backward, of both parts at once, need 100 at most


def few_kernels_kept() -> None:
    """Let oneDNN keep few kernels in memory, if it has made none yet and the user says nothing else.

    It makes one for each shape of a product, and steps of other texts have other shapes. Of the 1,024 that it keeps
    otherwise memory grows from epoch to epoch, by 1.5 GB with DistilBERT on a processor with AMX.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS))


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
