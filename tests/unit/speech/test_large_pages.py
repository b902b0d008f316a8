"""Weights are moved in memory, and stay what they are."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from projectone.speech.large_pages import move_to_large_pages

MB = 1 << 20


def _large_page_kb() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))


def test_numbers_and_addresses_stay() -> None:
    arrays = [np.arange(n, dtype=np.float32) for n in (1, 1000, 3 * MB)]
    addresses = [array.ctypes.data for array in arrays]
    move_to_large_pages(arrays)
    move_to_large_pages(array[10:] for array in arrays)
    assert [array.ctypes.data for array in arrays] == addresses
    for array in arrays:
        np.testing.assert_array_equal(array, np.arange(array.size, dtype=np.float32))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
def test_arrays_that_lie_one_after_the_other_move_together() -> None:
    memory = mmap.mmap(-1, 16 * MB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    numbers = np.frombuffer(memory, np.float32)
    numbers[:] = 1
    before = _large_page_kb()
    # Each is smaller than a page of 2 MB.
    move_to_large_pages(reversed(np.split(numbers, 32)))
    if _large_page_kb() == before:
        pytest.skip("this kernel moves nothing (MADV_COLLAPSE came with Linux 6.1, and may be switched off)")
    assert _large_page_kb() - before >= 12 * 1024
    assert (numbers == 1).all()
