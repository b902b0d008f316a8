"""Keeps freed memory in the process while it trains.

mlx asks the C library for every intermediate array and gives it back at once. glibc maps large blocks anew each time,
and the kernel fills them with zeros page by page: measured at whisper-tiny's size this took as long as the arithmetic
(700,000 page faults a step; with this, a few).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_NEVER = 2**31 - 1
_TOP_PAD_BYTES = 64 * 2**20


@cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep large freed blocks for the next array; gives whether it took it.

    The process then stays as large as it ever was, which suits a worker that trains and no other. Elsewhere than on
    glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    settings = ((_M_MMAP_THRESHOLD, _NEVER), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _TOP_PAD_BYTES))
    return all([library.mallopt(name, value) == 1 for name, value in settings])
