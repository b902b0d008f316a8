"""One number that is none is found, wherever it lies and however it is stored."""

from __future__ import annotations

import mlx.core as mx
import pytest

from projectone.speech.tensor_file import is_finite


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 65_535, 65_536, 70_000])
def test_a_number_that_is_none_is_found(dtype: mx.Dtype, odd: float, place: int) -> None:
    numbers = mx.full((70_001,), -1.5).astype(dtype)
    assert is_finite(numbers)
    numbers[place] = odd
    assert not is_finite(numbers)
    assert not is_finite(mx.stack([numbers, numbers]).T)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
def test_the_largest_numbers_are_some_and_whole_numbers_always(dtype: mx.Dtype) -> None:
    largest = mx.array([mx.finfo(dtype).max, mx.finfo(dtype).min, 0.0, -0.0]).astype(dtype)
    assert is_finite(largest)
    assert is_finite(mx.zeros((0, 3), dtype=dtype))
    assert is_finite(mx.array([2**32 - 1], dtype=mx.uint32))
