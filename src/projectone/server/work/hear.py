"""One account's clips heard: what a sealed process is asked that knows the networks of voices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from projectone.errors import DataError
from projectone.server.voices.installed import open_networks
from projectone.server.voices.same_voice import Float32, voice_of
from projectone.waveform.wav import parse_wav


def voice_of_clips(contents: Sequence[bytes]) -> Float32 | None:
    """One vector of an account's clips, (256,); None if they hold too little voice, or there are no networks."""
    networks = open_networks()
    if networks is None:
        return None
    clips = []
    for content in contents:
        with suppress(DataError):  # one that is no sound says nothing
            clips.append(parse_wav(content).samples[:, 0])
    return voice_of(clips, networks.encoder)
