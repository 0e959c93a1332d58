"""What becomes of freed memory."""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
ARENAS = 2
MMAP_BYTES = 8 * 1024 * 1024  # more than any tensor of a window: fresh pages take as long as the work on them
TRIM_BYTES = 64 * 1024 * 1024  # of the heap's end that are kept: to have them back costs as much as working on them


def tune_malloc() -> bool:
    """Makes glibc give large tensors back to the system once they are freed; false where there is no glibc.

    By itself it keeps what was freed in an arena for each thread, and a service holds a quarter more than it needs.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    chosen = ((_M_ARENA_MAX, ARENAS), (_M_MMAP_THRESHOLD, MMAP_BYTES), (_M_TRIM_THRESHOLD, TRIM_BYTES))
    return all(mallopt(*option) for option in chosen)


def give_back() -> None:
    """Gives all free memory back to the system, also from between what is in use; takes some 10 ms."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def settle() -> None:
    """Once all is loaded that stays: no collection of garbage looks at it again, which would take 0.1 s each time."""
    gc.freeze()
    give_back()
