"""Topics `text/policy`, `packages/paths` and `wav/canonical`: what comes from outside, and how it is kept."""

from __future__ import annotations

import base64
import struct
import unicodedata
from typing import Any

import numpy as np
from pydantic import ValidationError
from tests.conformance.portable.topics import Case, Mistake, Topic, Value

import projectone.contracts.packages as packages
import projectone.contracts.texts as texts
import projectone.device.clips as clips
import projectone.waveform.wav as wav
from projectone.contracts.base import sha256_hex
from projectone.contracts.releases import ReleaseFile
from projectone.errors import DataError


def cleaned(given: Value) -> Value:
    """The text as it is kept, or why it is not."""
    try:
        text = texts.clean_transcript(given["text"] * given["times"])
        return {"text": text} if given["times"] == 1 else {"n_characters": len(text)}
    except DataError as error:
        return {"refused": error.reason}


_TEXTS = {
    "words": "Hello there, world.",
    "spaces of every kind": "  one\ttwo\nthree\u00a0four\u2003five\u3000six \r\n",
    "a letter and its mark become one": "Zoe\u0308",
    "a letter with four marks": "e\u0300\u0301\u0302\u0303x",
    "a letter with five marks": "e\u0300\u0301\u0302\u0303\u0304x",
    "a joiner is text": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "a zero-width space is not": "one\u200btwo",
    "text that turns around": "one\u202etwo",
    "a soft hyphen": "one\u00adtwo",
    "a byte order mark": "\ufeffone",
    "a control character": "one\u0007two",
    "the end of a string": "one\u0000",
    "a next-line character": "one\u0085two",
    "a private character": "one\ue000two",
    "no character": "one\uffff",
    "not assigned": "one\u0378two",
    "nothing": "",
    "only spaces": " \t ",
    "only marks": "... \u2014 !",
    "a digit is enough": "7",
    "an ideograph": "\u4f60\u597d",
    "a formula is text": "=1+1",
    "a ligature stays": "\ufb01ne",
    "Hangul is composed": "\u1112\u1161\u11ab",
}


def _any_form(form: str, text: str) -> str:
    return text


TEXT = Topic(
    name="text/policy",
    about=(
        "`text`, repeated `times` times: what a person could have said, as NFC with single spaces; or refused. At "
        "most 2000 characters (Unicode scalars). Refused characters: categories Cc (but tab, newline and return), Cs, "
        "Co, Cn, and Cf but U+200C and U+200D; more than four of Mn or Me in a row. At least one letter or number "
        "(L*, N*). Marks and characters are counted before NFC; every run of white space becomes one space, none at "
        "the ends."
    ),
    run=cleaned,
    cases=(
        *(Case(name, {"text": text, "times": 1}) for name, text in _TEXTS.items()),
        Case("two thousand characters", {"text": "abcde", "times": 400}),
        Case("two thousand and one", {"text": "a", "times": 2001}),
        Case("two thousand beyond the basic plane", {"text": "a\U0001f44b", "times": 1000}),
    ),
    mistakes=(
        Mistake("no normal form", unicodedata, "normalize", _any_form),
        Mistake("every joiner refused", texts, "_ALLOWED_FORMAT_CHARACTERS", frozenset()),
        Mistake("any invisible character", texts, "_ALLOWED_FORMAT_CHARACTERS", {"\u200b", "\u200c", "\u200d"}),
        Mistake("marks without end", texts, "MAX_MARKS_PER_BASE", 99),
        Mistake("one character more", texts, "MAX_TRANSCRIPT_CHARACTERS", 2001),
        Mistake("private characters", texts, "_REFUSED_CATEGORIES", {"Cc": "", "Cn": "", "Cs": ""}),
    ),
)


def judged(given: Value) -> Value:
    """Whether files of these names can be one package."""
    try:
        for path in given["paths"]:
            ReleaseFile(path=path, sha256="0" * 64, size_bytes=0)
    except ValidationError:
        return {"refused": "path"}
    return {"refused": "conflict"} if packages.conflict_of(["manifest.json", *given["paths"]]) else {"accepted": True}


_PATHS: dict[str, list[str]] = {
    "a model": ["weights.npz", "config.json"],
    "folders": ["AudioEncoder.mlmodelc/weights/weight.bin", "AudioEncoder.mlmodelc/model.mil"],
    "out of the folder": ["../weights"],
    "out of the folder from within": ["a/../../b"],
    "from the root": ["/etc/passwd"],
    "hidden": [".weights"],
    "this folder": ["./a"],
    "two slashes": ["a//b"],
    "backslash": ["a\\b"],
    "a drive": ["C:x"],
    "a letter that is not ASCII": ["gewicht\u00e4"],
    "a newline at the end": ["a\n"],
    "ends with a dot": ["a."],
    "eight names": ["a/b/c/d/e/f/g/h"],
    "nine names": ["a/b/c/d/e/f/g/h/i"],
    "a name of 96": ["a" * 96],
    "a name of 97": ["a" * 97],
    "nothing": [""],
    "twice": ["a", "a"],
    "in another case": ["Weights", "weights"],
    "a folder in another case": ["A/x", "a/y"],
    "a file that is a folder": ["a", "a/b"],
    "the manifest itself": ["manifest.json"],
    "the manifest in another case": ["Manifest.JSON"],
}
PATHS = Topic(
    name="packages/paths",
    about=(
        "Files of a release, beside `manifest.json`. A path is one to eight names with / between them, 200 characters "
        "at most; a name is 1 to 96 of A-Z a-z 0-9 . _ -, begins with a letter or digit and does not end with a dot. "
        "No file is there twice, none is a folder of another, and none differs from another in case alone."
    ),
    run=judged,
    cases=tuple(Case(name, {"paths": paths}) for name, paths in _PATHS.items()),
    mistakes=(
        Mistake("case counts", packages, "conflict_of", lambda paths: len(set(a := list(paths))) != len(a) or None),
        Mistake("no conflicts", packages, "conflict_of", lambda paths: None),
    ),
)


def canonical(given: Value) -> Value:
    """The digest under which a sound is kept, or why it is refused."""
    try:
        clip = clips.read_clip(base64.b64decode(given["wav"]))
    except DataError as error:
        return {"refused": error.reason}
    return {"sha256": sha256_hex(clip.wav), "size_bytes": len(clip.wav), "duration_s": clip.duration_s}


def _chunk(name: bytes, content: bytes, *, padding: bytes = b"\0") -> bytes:
    return name + struct.pack("<I", len(content)) + content + (padding if len(content) % 2 else b"")


def _format(tag: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16, **changes: int) -> bytes:
    block = channels * bits // 8
    said = {"block": block, "per_second": block * rate} | changes
    return _chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, said["per_second"], said["block"], bits))


def _file(*chunks: bytes, size: int | None = None) -> bytes:
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content) if size is None else size) + content


_SHORTS = np.arange(-1600, 1600, 20, dtype="<i2")
_DATA = _chunk(b"data", _SHORTS.tobytes())
_PLAIN = _file(_format(), _DATA)
_WIDE = b"".join(int(v).to_bytes(3, "little", signed=True) for v in np.linspace(-8_388_608, 8_388_607, 160).astype(int))
_LONG = np.linspace(-(2**31), 2**31 - 1, 160).astype("<i4").tobytes()
# Halves between two steps, beyond full scale, and nothing.
_FLOATS = np.concatenate([(np.arange(-80, 80) + 0.5) / 32768, [1.0, -1.0, 1.5, -1.5, 0.0, -0.0, 1e-9, 0.99999]]).astype(
    "<f4"
)
_STEREO = np.stack([_SHORTS, _SHORTS[::-1] + 3], axis=1).astype("<i2")
_EXTENDED = _chunk(
    b"fmt ",
    struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 16_000, 32_000, 2, 16, 22, 16, 4, 1)
    + bytes.fromhex("000000001000800000aa00389b71"),
)
_WAVS: dict[str, bytes] = {
    "in this form already": _PLAIN,
    "a list of names is left behind": _file(_format(), _chunk(b"LIST", b"INFOIART\x04\0\0\0Zoe\0"), _DATA),
    "an odd chunk": _file(_format(), _chunk(b"note", b"abc"), _DATA),
    "the extensible format": _file(_EXTENDED, _DATA),
    "24 bits": _file(_format(bits=24), _chunk(b"data", _WIDE)),
    "32 bits": _file(_format(bits=32), _chunk(b"data", _LONG)),
    "floats": _file(_format(tag=3, bits=32), _chunk(b"data", _FLOATS.tobytes())),
    "two channels": _file(_format(channels=2), _chunk(b"data", _STEREO.tobytes())),
    "no sound file": b"<html>",
    "big-endian": b"RIFX" + _PLAIN[4:],
    "data that is cut": _PLAIN[:-2],
    "bytes behind the end": _PLAIN + b"abcd",
    "another size than it states": _file(_format(), _DATA, size=len(_PLAIN) + 92),
    "padding that is not zero": _file(_format(), _chunk(b"note", b"abc", padding=b"x"), _DATA),
    "no format": _file(_DATA),
    "two formats": _file(_format(), _format(), _DATA),
    "two sounds": _file(_format(), _DATA, _DATA),
    "the format behind the data": _file(_DATA, _format()),
    "a codec": _file(_format(tag=2), _DATA),
    "three channels": _file(_format(channels=3), _DATA),
    "four kHz": _file(_format(rate=4_000), _DATA),
    "eight bits": _file(_format(bits=8), _DATA),
    "a block that does not fit": _file(_format(block=4), _DATA),
    "half a frame": _file(_format(), _chunk(b"data", _SHORTS.tobytes()[:-1])),
    "nothing to hear": _file(_format(), _chunk(b"data", b"")),
    "another length in the fact": _file(_format(), _chunk(b"fact", struct.pack("<I", 7)), _DATA),
    "not a number": _file(_format(tag=3, bits=32), _chunk(b"data", np.full(160, np.nan, "<f4").tobytes())),
    "far too loud": _file(_format(tag=3, bits=32), _chunk(b"data", np.full(160, 99, "<f4").tobytes())),
}


def _truncated(samples: Any) -> bytes:
    return wav.encode_wav(np.trunc(samples.astype(np.float64) * 32768.0) / 32768.0)


def _by_32767(samples: Any) -> bytes:
    return wav.encode_wav(samples.astype(np.float64) * 32767.0 / 32768.0)


SOUND = Topic(
    name="wav/canonical",
    about=(
        "A WAV file (base64) becomes 16 kHz mono PCM16 with a header of 44 bytes and nothing else in it. Integers of "
        "n bits are divided by 2^(n-1) and rounded to float32; channels are averaged in float32; a sample is then "
        "times 32768 in float64, rounded half to even, and clipped to -32768..32767. All files here have 16 kHz: of "
        "any other rate any good filter will do, for a sound is named by the digest of what came out of it."
    ),
    run=canonical,
    cases=tuple(Case(name, {"wav": base64.b64encode(content).decode()}) for name, content in _WAVS.items()),
    mistakes=(
        Mistake("cut, not rounded", clips, "encode_wav", _truncated),
        Mistake("times 32767", clips, "encode_wav", _by_32767),
        Mistake("the first channel alone", clips, "to_16k_mono", lambda samples, rate: samples[:, 0]),
        Mistake("kept as it came", clips, "encode_wav", lambda samples: _PLAIN),
        Mistake("no look at the fact", wav, "_judge_fact", lambda *_: None),
    ),
)
