"""Formats other than WAV are decoded in a child that can do nothing else."""

import io
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from projectone.errors import DataError
from projectone.server.sandbox.decode import AudioDecoder, decode_audio
from projectone.server.sandbox.seal import what_is_not_enforced
from projectone.waveform.wav import encode_wav

soundfile = pytest.importorskip("soundfile", reason="the decoders extra is not installed")


def encoded(format_name: str, samples: np.ndarray, rate: int = 16000, subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=format_name, subtype=subtype)
    return stream.getvalue()


def tone(n: int = 8000) -> np.ndarray:
    return (0.5 * np.sin(np.arange(n) / 7)).astype(np.float32)


def test_flac_gives_the_samples() -> None:
    samples, rate = decode_audio(encoded("FLAC", tone(), 22050), suffix=".flac")
    assert (rate, samples.dtype, samples.shape) == (22050, np.float32, (8000,))
    np.testing.assert_allclose(samples, tone(), atol=1e-4)  # 16 bits


def test_ogg_gives_about_the_samples_and_stereo_is_averaged() -> None:
    stereo = np.stack([tone(), np.zeros(8000, np.float32)], axis=1)
    samples, _ = decode_audio(encoded("OGG", stereo, subtype="VORBIS"), media_type="audio/ogg")
    assert np.abs(samples[:8000] - tone() / 2).mean() < 0.02


def test_wav_needs_no_child() -> None:
    with AudioDecoder() as decoder:
        samples, rate = decoder.decode(encode_wav(tone()), suffix=".WAV")
        assert decoder._child is None
    assert (len(samples), rate) == (8000, 16000)


def test_one_child_serves_many_clips_and_survives_bad_ones() -> None:
    good = encoded("FLAC", tone(800))
    with AudioDecoder() as decoder:
        decoder.decode(good, suffix=".flac")
        child = decoder._child
        for n in range(150):
            if n % 10 == 0:
                with pytest.raises(DataError):
                    decoder.decode(good[: 50 + n], suffix=".flac")
            assert len(decoder.decode(good, suffix=".flac")[0]) == 800
        assert decoder._child is child
    assert child is not None
    assert child.poll() is not None


@pytest.mark.parametrize(
    ("content", "suffix", "reason"),
    [
        (b"", ".flac", "audio-format"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", ".flac", "audio-format"),
        (encode_wav(tone()), ".flac", "audio-format"),
        (encoded("FLAC", tone()), ".ogg", "audio-format"),
        (b"fLaC" + bytes(200), ".flac", "audio-damaged"),
        (encoded("FLAC", tone(), 96_000), ".flac", "audio-header"),
        (encoded("FLAC", np.zeros((100, 6), np.float32)), ".flac", "audio-header"),
        (encoded("FLAC", tone(3 * 16000)), ".flac", "audio-too-long"),
        (encoded("FLAC", tone()), ".mp3", "audio-format"),
        (encoded("FLAC", tone()), "", "audio-format"),
    ],
)
def test_what_is_not_the_named_format_is_refused(content: bytes, suffix: str, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        decode_audio(content, suffix=suffix, max_duration_s=2.0)
    assert caught.value.reason == reason


def test_random_damage_never_hurts_the_parent() -> None:
    random = np.random.default_rng(0)
    whole = encoded("FLAC", tone(2000))
    with AudioDecoder() as decoder:
        for _ in range(200):
            damaged = bytearray(whole)
            for _ in range(random.integers(1, 8)):
                damaged[random.integers(4, len(damaged))] = random.integers(256)
            try:
                samples, _ = decoder.decode(bytes(damaged), suffix=".flac")
            except DataError:
                continue
            assert np.isfinite(samples).all()


def test_ctrl_c_in_a_terminal_does_not_reach_the_child() -> None:
    with AudioDecoder() as decoder:
        decoder.decode(encoded("FLAC", tone(800)), suffix=".flac")
        assert decoder._child is not None
        assert os.getsid(decoder._child.pid) != os.getsid(0)


def test_a_child_that_is_killed_costs_one_clip() -> None:
    good = encoded("FLAC", tone())
    with AudioDecoder() as decoder:
        decoder.decode(good, suffix=".flac")
        assert decoder._child is not None
        decoder._child.kill()
        decoder._child.wait()
        with pytest.raises(DataError) as caught:
            decoder.decode(good, suffix=".flac")
        assert caught.value.reason == "audio-decoder-died"
        assert len(decoder.decode(good, suffix=".flac")[0]) == 8000


def test_a_child_that_hangs_is_killed() -> None:
    good = encoded("FLAC", tone())
    with AudioDecoder() as decoder:
        decoder.decode(good, suffix=".flac")
        assert decoder._child is not None
        os.kill(decoder._child.pid, signal.SIGSTOP)  # it will never answer
        decoder._timeout_s = 0.3
        with pytest.raises(DataError) as caught:
            decoder.decode(good, suffix=".flac")
        assert caught.value.reason == "audio-decoder-died"


def test_the_child_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    with AudioDecoder() as decoder:
        decoder.decode(encoded("FLAC", tone()), suffix=".flac")
        assert decoder._child is not None
        if sys.platform == "linux" and os.geteuid() == 0:
            assert b"secret" not in Path(f"/proc/{decoder._child.pid}/environ").read_bytes()


def test_the_child_puts_on_every_layer_that_this_system_has() -> None:
    with AudioDecoder() as decoder:
        decoder.decode(encoded("FLAC", tone()), suffix=".flac")
        assert [layer.split()[0] for layer in decoder.not_enforced] == [
            layer.split()[0] for layer in what_is_not_enforced()
        ]
