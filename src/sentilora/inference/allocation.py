"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import platform
from typing import Optional

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
_LARGEST = 32 * 2**20  # of what glibc takes as the second; its own adjusting ends here, and at twice this for the first
_NEVER = 2**31 - 1


def keep_freed_blocks(*, whole: bool = False) -> bool:
    """Have glibc keep freed blocks of up to 32 MiB in the heap of the thread that they came from, for its next ones.

    Otherwise it gives large ones back, and the system has to clear every page of the next. This is for the whole
    process, and no more than glibc comes to by itself after the first block of that size.

    Args:
        whole: Whether heaps never shrink; if not they do when 64 MiB at their end are free.

    Returns:
        Whether the C library is glibc; nothing was done if not.
    """
    libc = _glibc()
    if libc is None:
        return False
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER if whole else 2 * _LARGEST)
    return True


def give_back_freed_blocks() -> None:
    """Have glibc give the system every free page, now."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> Optional[ctypes.CDLL]:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
