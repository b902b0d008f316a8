"""Three hundred bad files: each is refused for its own reason, quickly and without much memory."""

import io
import time
import tracemalloc

import numpy as np
import pytest
from tests.fakes.caller import a_clip
from tests.hostile.audio_families import FAMILIES, N_SEEDS, chunk, files, fmt, riff, with_data

from projectone.errors import DataError
from projectone.waveform.quality import why_unusable
from projectone.waveform.resample import MODEL_RATE_HZ, to_16k_mono
from projectone.waveform.wav import copy_wav, encode_wav, parse_wav

BOMBS = ("12", "14", "19", "20", "21")
BOMB_BYTES = 8 * 2**20


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


def test_control_a_common_library_takes_most_of_them() -> None:
    """libsndfile is a decoder, not a judge: it gives sound for most of these files, some of it NaN."""
    soundfile = pytest.importorskip("soundfile", reason="the decoders extra is not installed")
    taken, spoiled = set(), set()
    for name, seed, _, content in files():
        try:
            samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
        except soundfile.LibsndfileError:
            continue
        taken.add((name, seed))
        if not np.isfinite(samples).all():
            spoiled.add(name)
    assert len(taken) >= 180
    assert len({name for name, _ in taken}) >= 18
    assert spoiled == {"06 NaN", "07 Inf"}


@pytest.mark.parametrize("name", [name for name in FAMILIES if name[:2] in BOMBS])
def test_a_bomb_costs_neither_time_nor_memory(name: str) -> None:
    _, make = FAMILIES[name]
    for seed in range(N_SEEDS):
        content = make(np.random.default_rng(seed))
        tracemalloc.start()
        started = time.process_time()
        with pytest.raises(DataError):
            parse_wav(content)
        elapsed_s = time.process_time() - started
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < BOMB_BYTES
        assert elapsed_s < 2.0  # a thousandth, unless the whole heap is looked through for garbage meanwhile


def test_control_who_believes_the_header_is_blown_up() -> None:
    """Half a second of sound that says it lasts two hours: 16 kB in, hundreds of megabytes out."""
    soundfile = pytest.importorskip("soundfile", reason="the decoders extra is not installed")
    content = with_data(np.random.default_rng(0), rate=1)
    with pytest.raises(DataError) as caught:
        parse_wav(content)
    assert caught.value.reason == "wav-rate"
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    assert len(samples) * MODEL_RATE_HZ // rate * 4 > 500_000_000
    few = samples[:300]  # the whole of it would take half a gigabyte here, too
    tracemalloc.start()
    np.interp(np.arange(len(few) * MODEL_RATE_HZ // rate) / MODEL_RATE_HZ, np.arange(len(few)), few)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak > BOMB_BYTES


PAYLOADS = (
    b"PK\x03\x04" + bytes(26) + b"evil.sh",
    b"<script>alert(document.cookie)</script>",
    b"\x7fELF\x02\x01\x01" + bytes(40),
    b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    b"#EXTM3U\nfile:///etc/passwd\n",
    b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94",
)


def polyglots() -> list[tuple[bytes, bytes]]:
    """Thirty WAV files that are something else as well, and what else: before, behind, between, inside and beside."""
    sound = a_clip()[44:]
    data = chunk(b"data", sound)
    made = []
    for payload in PAYLOADS:
        made += [
            (riff(fmt(), data) + payload, payload),
            (riff(fmt(), chunk(b"LIST", payload, pad=b"\0"), data), payload),
            (riff(fmt(), data, chunk(b"junk", payload, pad=b"\0")), payload),
            (riff(fmt(extra=payload), data), payload),
            (payload + riff(fmt(), data), payload),
        ]
    return made


def test_of_thirty_polyglots_nothing_is_kept_but_sound() -> None:
    """Control beside it: kept as they came, half of them would still be what they were made to be."""
    n_taken = 0
    for content, payload in polyglots():
        try:
            audio = parse_wav(content)
        except DataError:
            continue
        n_taken += 1
        assert payload in content
        assert payload not in (copy_wav(content) or b"")
        assert payload not in encode_wav(to_16k_mono(audio.samples, audio.sample_rate_hz))
    assert len(polyglots()) == 30
    assert n_taken >= 15


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
