"""Three hundred bad files: each is refused for its own reason, quickly and without much memory."""

import time
import tracemalloc

import numpy as np
import pytest
from tests.hostile.audio_families import FAMILIES, N_SEEDS, files, fmt, riff

from projectone.errors import DataError
from projectone.waveform.quality import why_unusable
from projectone.waveform.resample import to_16k_mono
from projectone.waveform.wav import parse_wav


def reason_against(content: bytes) -> str | None:
    try:
        audio = parse_wav(content)
    except DataError as error:
        return error.reason
    return why_unusable(to_16k_mono(audio.samples, audio.sample_rate_hz))


def test_each_of_300_files_is_refused_for_its_own_reason() -> None:
    found = files()
    assert len(found) == 25 * N_SEEDS == 300
    wrong = [(name, seed, reason, got) for name, seed, reason, c in found if (got := reason_against(c)) != reason]
    assert wrong == []


@pytest.mark.parametrize("name", [name for name in FAMILIES if name[:2] in ("12", "14", "19", "20", "21")])
def test_a_bomb_costs_neither_time_nor_memory(name: str) -> None:
    _, make = FAMILIES[name]
    content = make(np.random.default_rng(0))
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(DataError):
        parse_wav(content)
    elapsed_s = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert elapsed_s < 2.0  # a thousandth of a second, unless the whole heap is looked through for garbage meanwhile


def test_random_damage_never_breaks_the_parser() -> None:
    random = np.random.default_rng(1)
    whole = bytearray(files()[40][3])
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(random.integers(1, 6)):
            damaged[random.integers(min(len(damaged), 60))] = random.integers(256)
        try:
            audio = parse_wav(bytes(damaged[: random.integers(1, len(damaged) + 1)]))
        except DataError:
            continue
        assert np.isfinite(audio.samples).all()


def test_a_header_without_an_end_is_refused() -> None:
    for length in range(len(riff(fmt()))):
        with pytest.raises(DataError):
            parse_wav(riff(fmt())[:length])
