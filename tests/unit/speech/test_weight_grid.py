"""Changes in whole steps: sent in fewer bits, rebuilt to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from projectone.speech.weight_delta import apply_delta, read_facts, write_delta
from projectone.speech.weight_grid import UNIT, added, find_units, is_on_grid, on_grid, steps_between, units_for

UNITS = 13 << 10  # 0.0008


def tuned_pair(n: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a small model, and what a fine-tune of the demo's size makes of them."""
    random = np.random.default_rng(0)
    base = (random.standard_normal(n) * 0.05).astype(np.float16)
    return base, base.astype(np.float32) + np.float32(2e-3) * random.standard_normal(n, np.float32)


def saved(path: Path, numbers: np.ndarray) -> Path:
    path.write_bytes(save({"w": numbers}, metadata={"format": "pt"}))
    return path


def test_rounded_changes_take_less_than_half_and_are_rebuilt_to_the_bit(tmp_path: Path) -> None:
    base, tuned = tuned_pair()
    old = saved(tmp_path / "old", base)
    sizes = {}
    for name, numbers in (("as trained", tuned.astype(np.float16)), ("rounded", on_grid(base, tuned, UNITS))):
        new = saved(tmp_path / name, numbers)
        write_delta(old, new, tmp_path / "delta")
        apply_delta(old, tmp_path / "delta", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == new.read_bytes()
        sizes[name] = (tmp_path / "delta").stat().st_size / new.stat().st_size
    assert sizes["rounded"] < 0.22 < 0.4 < sizes["as trained"]
    assert read_facts(tmp_path / "delta").units == UNITS


def test_rounding_moves_no_number_by_more_than_half_a_step() -> None:
    base, tuned = tuned_pair()
    off = np.abs(on_grid(base, tuned, UNITS).astype(np.float64) - tuned)
    assert off.max() <= UNITS * UNIT / 2 + 2**-12  # and float16's own rounding of numbers below 1/4


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(-(2**15) + 1, 2**15 - 1)), min_size=1, max_size=40),
    st.integers(1, 2**24),
)
def test_what_was_added_is_always_found_again_or_said_to_be_off_the_grid(
    moves: list[tuple[int, int]], units: int
) -> None:
    base = np.array([word for word, _ in moves], np.uint16).view(np.float16)  # -0, subnormals, infinities, NaN
    with np.errstate(invalid="ignore"):
        new = added(base, np.array([steps for _, steps in moves], np.int32), units)
        if is_on_grid(base, new, units):
            again = added(base, steps_between(base, new, units), units)
            assert np.array_equal(again.view(np.uint16), new.view(np.uint16))
        else:  # only where the sum left float16, or was nothing float16 can count
            assert not np.isfinite(new).all()


@pytest.mark.parametrize("size", [0.02, 0.4, 30.0])
@pytest.mark.parametrize("units", [1, 7, UNITS, 15 << 14])
def test_the_sum_is_that_of_float64_rounded_once(size: float, units: int) -> None:
    random = np.random.default_rng(0)
    base = (random.standard_normal(20_000) * size).astype(np.float16)
    for steps in (random.integers(-9, 10, base.size), random.integers(-(2**15) + 1, 2**15, base.size)):
        with np.errstate(over="ignore"):
            exact = (base.astype(np.float64) + steps * (units * UNIT)).astype(np.float16)
            made = added(base.reshape(100, -1), steps.astype(np.int16).reshape(100, -1), units).ravel()
        assert np.array_equal(np.where(steps == 0, base, exact).view(np.uint16), made.view(np.uint16))


def test_no_step_keeps_the_bits_of_whatever_was_there() -> None:
    base = np.arange(2**16, dtype=np.uint16).view(np.float16)
    assert np.array_equal(added(base, np.zeros(2**16, np.int32), UNITS).view(np.uint16), base.view(np.uint16))


def test_the_step_is_found_in_the_numbers_alone_and_only_where_there_is_one() -> None:
    base, tuned = tuned_pair()
    assert find_units(base, on_grid(base, tuned, UNITS)) == UNITS
    assert find_units(base, tuned.astype(np.float16)) is None
    assert find_units(base, base) is None


def test_one_number_off_the_grid_is_sent_exactly_all_the_same(tmp_path: Path) -> None:
    base, tuned = tuned_pair()
    new = on_grid(base, tuned, UNITS)
    new[77] = np.float16(base[77] + 1.5 * UNITS * UNIT)
    write_delta(saved(tmp_path / "old", base), saved(tmp_path / "new", new), tmp_path / "delta")
    assert read_facts(tmp_path / "delta").units == 0
    apply_delta(tmp_path / "old", tmp_path / "delta", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "new").read_bytes()


@pytest.mark.parametrize("share", [0.15, 0.25])
def test_the_step_that_is_chosen_gives_a_file_of_the_share_asked_for(share: float, tmp_path: Path) -> None:
    base, tuned = tuned_pair()
    units = units_for({"w": tuned - base}, share)
    assert units is not None
    new = saved(tmp_path / "new", on_grid(base, tuned, units))
    write_delta(saved(tmp_path / "old", base), new, tmp_path / "delta")
    assert 0.85 * share < (tmp_path / "delta").stat().st_size / new.stat().st_size < 1.03 * share
