"""What training has the libraries below it do with memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
_LARGEST = 32 << 20  # of what glibc takes as the second, and comes to by itself
_NEVER = 2**31 - 1
_KERNELS = 128  # a layer's products, forward or backward, of both parts at once, need 100 at most


def few_kernels_kept() -> None:
    """Let oneDNN keep few kernels in memory, if it has made none yet and the user says nothing else.

    It makes one for each shape of a product, and steps of other texts have other shapes. Of the 1,024 that it keeps
    otherwise memory grows from epoch to epoch, by 1.5 GB with DistilBERT on a processor with AMX.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS))


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep the memory of one step for the next, where the C library is glibc, and give it back at the end.

    Otherwise glibc returns each large tensor to the system, which has to clear every page of the next one: some tens of
    thousands of page faults a step, a twentieth of its time.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    try:
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_TRIM_THRESHOLD, _NEVER)
        yield
    finally:
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)
        libc.malloc_trim(0)
