"""WAV in and out: every format that recorders write comes back as the samples that went in."""

import io
import struct
import wave

import numpy as np
import pytest
from tests.hostile.audio_families import EXTENSIBLE_PCM, chunk, fmt, riff

from projectone.contracts import audio as agreed
from projectone.errors import DataError
from projectone.waveform import wav
from projectone.waveform.resample import to_16k_mono
from projectone.waveform.wav import PCM16_HEADER_BYTES, copy_wav, encode_wav, parse_wav


def tone(n: int = 1600) -> np.ndarray:
    return (0.5 * np.sin(np.arange(n) / 7)).astype(np.float32)


def as_pcm(samples: np.ndarray, bits: int) -> bytes:
    integers = np.rint(samples.astype(np.float64) * 2 ** (bits - 1)).astype("<i4")
    if bits == 24:
        return integers.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return integers.astype("<i2").tobytes() if bits == 16 else integers.tobytes()


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
def test_pcm_of_every_width_gives_the_samples(bits: int, channels: int) -> None:
    samples = np.stack([tone(), -tone()], axis=1)[:, :channels]
    content = riff(fmt(channels=channels, bits=bits), chunk(b"data", as_pcm(samples, bits)))
    audio = parse_wav(content)
    assert audio.samples.shape == (1600, channels)
    assert (audio.sample_rate_hz, audio.bits_per_sample, audio.duration_s) == (16000, bits, 0.1)
    np.testing.assert_allclose(audio.samples, samples, atol=2.0 ** (1 - bits) + 1e-7)


def test_finite_floats_are_read() -> None:
    content = riff(
        fmt(tag=3, bits=32), chunk(b"fact", struct.pack("<I", 1600)), chunk(b"data", tone().astype("<f4").tobytes())
    )
    np.testing.assert_array_equal(parse_wav(content).samples[:, 0], tone())


def test_the_extensible_form_of_pcm_is_read() -> None:
    extra = struct.pack("<HHI", 22, 24, 4) + EXTENSIBLE_PCM
    content = riff(fmt(tag=0xFFFE, bits=24, extra=extra), chunk(b"data", as_pcm(tone(), 24)))
    np.testing.assert_allclose(parse_wav(content).samples[:, 0], tone(), atol=1e-6)


def test_an_extensible_form_with_another_subformat_is_refused() -> None:
    extra = struct.pack("<HHI", 22, 16, 4) + b"\x55" + EXTENSIBLE_PCM[1:]
    with pytest.raises(DataError) as caught:
        parse_wav(riff(fmt(tag=0xFFFE, extra=extra), chunk(b"data", as_pcm(tone(), 16))))
    assert caught.value.reason == "wav-codec"


def test_chunks_around_the_sound_are_walked_over() -> None:
    content = riff(
        chunk(b"JUNK", b"odd"), fmt(), chunk(b"LIST", b"INFO"), chunk(b"data", as_pcm(tone(), 16)), chunk(b"id3 ", b"x")
    )
    assert len(parse_wav(content).samples) == 1600


def test_a_last_odd_chunk_may_lack_its_padding() -> None:
    # Python's own `wave` writes 24-bit mono of odd length so.
    stream = io.BytesIO()
    with wave.open(stream, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(3)
        writer.setframerate(16000)
        writer.writeframes(as_pcm(tone(1601), 24))
    assert len(parse_wav(stream.getvalue()).samples) == 1601


def test_what_we_write_others_read_and_we_read_back_bit_for_bit() -> None:
    content = encode_wav(tone(), 22050)
    with wave.open(io.BytesIO(content)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getnframes()) == (22050, 1, 1600)
    again = parse_wav(content)
    assert encode_wav(again.samples, again.sample_rate_hz) == content


def test_a_copy_has_the_bytes_that_decoding_and_encoding_would_give() -> None:
    every_value = np.arange(-32768, 32768, dtype="<i2").tobytes()
    plain = riff(fmt(), chunk(b"data", every_value))
    extended = fmt(tag=0xFFFE, extra=struct.pack("<HHI", 22, 16, 4) + EXTENSIBLE_PCM)
    others = [
        riff(chunk(b"LIST", b"who spoke"), fmt(), chunk(b"data", every_value), chunk(b"id3 ", b"where")),
        riff(extended, chunk(b"data", every_value)),
    ]
    for content in (plain, *others):
        copied = copy_wav(content)
        assert copied == encode_wav(to_16k_mono(parse_wav(content).samples, 16000)) == copy_wav(plain)
        assert copied[PCM16_HEADER_BYTES:] == every_value


@pytest.mark.parametrize("changes", [{"channels": 2}, {"bits": 24}, {"rate": 48000}, {"tag": 3, "bits": 32}])
def test_only_mono_pcm16_of_the_rate_is_copied(changes: dict[str, int]) -> None:
    assert copy_wav(riff(fmt(**changes), chunk(b"data", bytes(4800)))) is None


def test_a_bad_file_is_refused_when_copied_as_when_decoded() -> None:
    with pytest.raises(DataError) as caught:
        copy_wav(riff(fmt(), chunk(b"data", bytes(3))))
    assert caught.value.reason == "wav-partial-frame"


def test_loud_samples_are_clipped_and_wild_ones_refused() -> None:
    assert parse_wav(encode_wav(np.array([2.0, -2.0]))).samples[:, 0] == pytest.approx([32767 / 32768, -1.0])
    with pytest.raises(ValueError, match="finite"):
        encode_wav(np.array([np.nan]))


def test_the_length_is_judged_on_the_header_alone() -> None:
    header = riff(fmt(), chunk(b"data", b"", size=61 * 32000))
    with pytest.raises(DataError, match="at most 60 s") as caught:
        parse_wav(header)
    assert caught.value.reason == "wav-too-long"
    with pytest.raises(DataError) as caught:
        parse_wav(header, max_duration_s=120)
    assert caught.value.reason == "wav-truncated"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (riff(fmt(block=3), chunk(b"data", bytes(600))), "wav-block"),
        (riff(fmt(channels=2), chunk(b"data", bytes(6))), "wav-partial-frame"),
        (riff(fmt()), "wav-no-data"),
        (riff(fmt(), chunk(b"data", bytes(4)), chunk(b"data", bytes(4))), "wav-two-data"),
        (riff(chunk(b"fmt ", bytes(8)), chunk(b"data", bytes(4))), "wav-chunks"),
    ],
)
def test_contradictions_are_named(content: bytes, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_wav(content)
    assert caught.value.reason == reason


def test_the_limits_are_those_that_were_agreed_on() -> None:
    assert (wav.MIN_SAMPLE_RATE_HZ, wav.MAX_SAMPLE_RATE_HZ) == (agreed.MIN_SAMPLE_RATE_HZ, agreed.MAX_SAMPLE_RATE_HZ)
    assert (wav.MAX_CHANNELS, wav.MAX_DURATION_S) == (agreed.MAX_CHANNELS, agreed.MAX_CLIP_S)
