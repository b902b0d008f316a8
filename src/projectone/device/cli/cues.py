"""`projectone cues` and `projectone sound`: the sounds of the app, and pieces of one's own."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.errors import SettingsError, UsageError
from projectone.storage.files import write_atomically

_QUIET = "the app makes no sound: projectone cues on"
_HEARD = "the app is heard, softly: projectone cues off"


def _cues_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", choices=("show", "on", "off", "play"), default="show", help="default: show"
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="play: which one; `projectone cues` lists them")
    parser.add_argument("--out", type=Path, metavar="FILE", help="play: write a WAV file instead")


def _cues(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    action, cues = arguments.action, client.cues
    if action == "play":
        return _play(client, arguments)
    if arguments.name is not None or arguments.out is not None:
        raise UsageError(f"cues {action}: expected neither NAME nor --out")
    if action != "show":
        cues.switch(is_on=action == "on")
    lines = [_HEARD if cues.is_on else _QUIET]
    lines += [f"  {name:18} {meaning}" for name, meaning in cues.meanings().items()]
    return Result({"is_on": cues.is_on, "cues": dict(cues.meanings())}, "\n".join(lines))


def _play(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.name is None:
        raise UsageError(f"cues play: expected a NAME: {', '.join(client.cues.meanings())}")
    wav = client.cues.wav(arguments.name)
    facts = {"name": arguments.name, "bytes": len(wav)}
    if arguments.out is not None:
        write_atomically(arguments.out, wav)
        return Result({**facts, "out": str(arguments.out)}, f"written: {arguments.out}")
    from projectone.device.cli.speaker import play  # only here is there one

    play(wav)
    return Result(facts, f"played: {arguments.name}")


def _sound_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--valence", type=float, default=0.3, metavar="X", help="-1 sad to 1 glad; default: 0.3")
    add("--arousal", type=float, default=-0.3, metavar="X", help="-1 asleep to 1 awake; default: -0.3")
    add("--tempo", type=float, default=70.0, metavar="BPM", help="quarter notes in a minute, 30 to 240; default: 70")
    add("--key", default="D", metavar="NOTE", help="the first note of the scale: D, F#, Bb; default: D")
    add("--density", type=float, default=0.5, metavar="X", help="0 no melody to 1 a note on every beat; default: 0.5")
    add("--bars", type=int, default=8, metavar="N", help="length in bars of four beats; default: 8")
    add("--seed", type=int, default=0, metavar="N", help="another piece of the same kind; default: 0")
    add("--once", action="store_true", help="a piece with an end; without it, one that can be repeated without a seam")
    add("--out", type=Path, metavar="FILE", help="write a Standard MIDI File")
    add("--wav", type=Path, metavar="FILE", help="write how it sounds")


def _sound(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.out is None and arguments.wav is None:
        raise UsageError("sound: expected --out FILE.mid, --wav FILE.wav or both")
    from projectone.assist.sound import RATE_HZ, SoundSpec, compose, midi_bytes, render
    from projectone.assist.sound.spec import BEATS_PER_BAR
    from projectone.waveform.wav import encode_wav

    try:
        spec = SoundSpec(
            valence=arguments.valence,
            arousal=arguments.arousal,
            tempo_bpm=arguments.tempo,
            key=arguments.key,
            density=arguments.density,
            n_beats=arguments.bars * BEATS_PER_BAR,
            seed=arguments.seed,
            is_loop=not arguments.once,
        )
    except ValueError as error:
        raise UsageError(f"sound: {error}") from error
    for path in (arguments.out, arguments.wav):
        if path is not None and not path.parent.is_dir():
            raise SettingsError(f"sound: {str(path.parent)!r}: there is no such folder")
    piece = compose(spec)
    if arguments.out is not None:
        write_atomically(arguments.out, midi_bytes(piece))
    if arguments.wav is not None:
        write_atomically(arguments.wav, encode_wav(render(piece), RATE_HZ))
    counted = Counter(note.voice for note in piece.notes)
    written = [str(path) for path in (arguments.out, arguments.wav) if path is not None]
    facts = {
        "mode": spec.mode.name,
        "key": spec.key,
        "duration_s": spec.duration_s,
        "bars": arguments.bars,
        "seed": spec.seed,
        "notes": dict(counted),
        "written": written,
    }
    text = f"{spec.key} {spec.mode.name}, {arguments.bars} bars, {spec.duration_s:.2f} s: {', '.join(written)}"
    return Result(facts, text)


CUES = Command(
    "  projectone cues                          whether the app is heard, and what there is\n"
    "  projectone cues on\n"
    "  projectone cues play sent\n"
    "  projectone cues play sent --out sent.wav",
    _cues_arguments,
    _cues,
)
SOUND = Command(
    "  projectone sound --valence 0.5 --arousal 0.2 --tempo 70 --key D --out calm.mid --wav calm.wav\n"
    "  projectone sound --valence -0.6 --arousal -0.8 --tempo 54 --key F# --seed 3 --wav night.wav\n"
    "  projectone sound --bars 2 --once --out end.mid --json",
    _sound_arguments,
    _sound,
)
