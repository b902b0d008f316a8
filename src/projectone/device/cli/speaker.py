"""The loudspeaker of this machine, through PortAudio: it plays a short WAV file to its end.

A cue is an extra. It is played where a person sits at the terminal and wants cues; where it cannot be played, what was
asked for is done all the same.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from projectone.device.cli.microphone import sound_library
from projectone.device.client import DeviceClient
from projectone.errors import ProjectOneError, SettingsError
from projectone.waveform.wav import parse_wav


def play(wav: bytes) -> None:
    """Play a WAV file, and come back when it is over.

    Raises:
        SettingsError: if there is no loudspeaker, or something is not installed; the message says what to do.
    """
    sound = sound_library("playing")
    audio = parse_wav(wav)
    try:
        sound.play(audio.samples, audio.sample_rate_hz, blocking=True)
    except (sound.PortAudioError, ValueError) as error:
        raise SettingsError(
            f"no loudspeaker can be used ({error}); projectone cues play NAME --out FILE writes the sound"
        ) from error


def cue(client: DeviceClient, name: str, arguments: argparse.Namespace) -> None:
    """Play a cue if cues are on, a person sits there, and there is a loudspeaker."""
    if arguments.json or not client.cues.is_on or not sys.stderr.isatty():
        return
    with contextlib.suppress(SettingsError):
        play(client.cues.wav(name))


@contextlib.contextmanager
def heard(
    client: DeviceClient, command: str, arguments: argparse.Namespace
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Let the end of a command be heard: what it did, or that it did not. Gives what takes its facts."""

    def after(facts: Mapping[str, Any]) -> None:
        if command == "sync" and facts.get("sent"):
            cue(client, "sent", arguments)
        elif command == "update" and facts.get("status") == "updated":
            cue(client, "model-updated", arguments)

    try:
        yield after
    except ProjectOneError:
        cue(client, "mistake", arguments)
        raise
