"""`projectone record`: speak, see the text while you speak, and keep it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any, Protocol

from projectone.device.cli.keys import Keys
from projectone.device.cli.live_line import LiveLine
from projectone.device.cli.results import Command, Result, recording_facts, shown
from projectone.device.client import DeviceClient
from projectone.device.live import Live, Unfinished
from projectone.errors import ArtifactError, DataError, SettingsError, StorageError, UsageError

_BYTES_PER_S = 32_000
_ALL = "all"
_ENTER, _SPACE = "\r\n", " "
_PATIENCE_S = 0.2


class Source(Protocol):
    """Where sound comes from."""

    n_gaps: int

    def start(self) -> None:
        """Listen from now on."""
        ...

    def stop(self) -> None:
        """Listen no more."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """The next piece; nothing if none comes in this time."""
        ...


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, metavar="N", help="stop by itself after so many seconds of sound")
    parser.add_argument("--device", metavar="NAME", help="a part of the microphone's name, or its number")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--unfinished", action="store_true", help="list what was cut off")
    way.add_argument(
        "--finish", nargs="?", const=_ALL, metavar="ID", help="keep what was cut off: one recording, or all"
    )
    way.add_argument(
        "--discard", nargs="?", const=_ALL, metavar="ID", help="forget what was cut off: one recording, or all"
    )


def _record(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.unfinished:
        return _list(client.live.unfinished())
    if arguments.finish is not None:
        return _finish(client.live, arguments.finish)
    if arguments.discard is not None:
        return _discard(client.live, arguments.discard)
    if arguments.seconds is not None and arguments.seconds <= 0:
        raise UsageError(f"--seconds: expected more than 0, got {arguments.seconds:g}", usage="")
    return _from_microphone(client, arguments)


def _from_microphone(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    with Keys() as keys:
        if arguments.seconds is None and not keys.are_there:
            raise UsageError(
                "expected --seconds N: there is no terminal here at which Enter could be pressed", usage=""
            )
        from projectone.device.cli.microphone import Microphone  # only here is there one
        from projectone.device.cli.speaker import cue

        for item in client.live.unfinished():
            print(f"{item.seconds:.1f} s from {_when(item)} are not finished: --finish, --discard", file=sys.stderr)
        with Microphone(arguments.device) as microphone:
            if keys.are_there and not arguments.json:
                cue(client, "recording-started", arguments)  # before anything is taken in
                print("speak now. Space pauses, Enter stops, Ctrl-C leaves it for later.", file=sys.stderr)
            result = speak(client.live, microphone, keys, limit_s=arguments.seconds, line=LiveLine())
        cue(client, "recording-stopped", arguments)
        return result


def speak(live: Live, source: Source, keys: Keys, *, limit_s: float | None, line: LiveLine) -> Result:
    """Record until Enter, the limit or Ctrl-C. Whatever happens, what was said is kept.

    Args:
        live: Where it goes.
        source: Where it comes from; not started yet.
        keys: Of the terminal.
        limit_s: How much sound at most.
        line: What shows it.
    """
    live_id = live.begin()
    try:
        try:
            problem = _take_all(live, live_id, source, keys, limit_s, line)
        finally:
            line.end()
        if live.state(live_id).n_bytes == 0:
            live.discard(live_id)
            raise DataError("live-empty", "the microphone gave no sound")
        recording = live.finish(live_id)
    except KeyboardInterrupt:
        with contextlib.suppress(StorageError, DataError):
            _take_rest(live, live_id, source)
        return _left(live, live_id, "interrupted")
    except (ArtifactError, SettingsError, StorageError) as error:  # no model, say
        return _left(live, live_id, str(error))
    facts = {"recording": recording_facts(recording), "gaps": source.n_gaps, "problem": problem}
    text = f"{recording.recording_id[:8]}  {shown(recording)}"
    text += f"\n  {source.n_gaps} gaps: this machine was too busy to take every sound" if source.n_gaps else ""
    text += f"\n  {problem}" if problem else ""
    return Result(facts, text, is_done=problem is None, problem=problem)


def _left(live: Live, live_id: str, why: str) -> Result:
    seconds = live.state(live_id).seconds
    problem = (
        f"{why}; the {seconds:.1f} s until here are safe: projectone record --finish keeps them, --discard forgets"
    )
    facts = {"recording": None, "unfinished": {"live_id": live_id, "seconds": round(seconds, 3)}}
    return Result(facts, problem, is_done=False, problem=problem)


def _take_all(
    live: Live, live_id: str, source: Source, keys: Keys, limit_s: float | None, line: LiveLine
) -> str | None:
    """Keep what comes until somebody wants no more; gives what ended it before that, if anything did."""
    limit_bytes = None if limit_s is None else round(limit_s * _BYTES_PER_S / 2) * 2
    n_bytes, is_paused = 0, False
    source.start()
    while limit_bytes is None or n_bytes < limit_bytes:
        pressed = keys.pressed()
        if any(key in pressed for key in _ENTER):
            with contextlib.suppress(StorageError, DataError):
                _take_rest(live, live_id, source)
            break
        if _SPACE in pressed:
            is_paused = not is_paused
            (source.stop if is_paused else source.start)()
        piece = source.read(_PATIENCE_S)
        if limit_bytes is not None:
            piece = piece[: limit_bytes - n_bytes]
        if piece:
            try:
                state = live.append(live_id, n_bytes, piece)
            except (StorageError, DataError) as error:  # a full disk, or an hour is over
                return str(error)
            n_bytes = state.n_bytes
            line.note(state.level_db)
        line.show(n_bytes / _BYTES_PER_S, live.partial(live_id), is_paused=is_paused)
    source.stop()
    return None


def _take_rest(live: Live, live_id: str, source: Source) -> None:
    """What was said before the end, and was not read yet."""
    source.stop()
    n_bytes = live.state(live_id).n_bytes
    while piece := source.read(0):
        n_bytes = live.append(live_id, n_bytes, piece).n_bytes


def _list(items: list[Unfinished]) -> Result:
    lines = [f"{item.live_id}  {_when(item)}  {item.seconds:6.1f} s" for item in items]
    return Result({"unfinished": _facts(items)}, "\n".join(lines) or "nothing was cut off")


def _finish(live: Live, named: str) -> Result:
    recordings = [live.finish(live_id) for live_id in _chosen(live, named)]
    lines = [f"{recording.recording_id[:8]}  {shown(recording)}" for recording in recordings]
    facts = {"recordings": [recording_facts(recording) for recording in recordings]}
    return Result(facts, "\n".join(lines) or "nothing was cut off")


def _discard(live: Live, named: str) -> Result:
    chosen = _chosen(live, named)
    for live_id in chosen:
        live.discard(live_id)
    return Result({"discarded": chosen}, f"forgotten: {len(chosen)}" if chosen else "nothing was cut off")


def _chosen(live: Live, named: str) -> list[str]:
    return [item.live_id for item in live.unfinished()] if named == _ALL else [named]


def _facts(items: list[Unfinished]) -> list[dict[str, Any]]:
    return [
        {"live_id": item.live_id, "began_at": item.began_at.isoformat(), "seconds": round(item.seconds, 3)}
        for item in items
    ]


def _when(item: Unfinished) -> str:
    return f"{item.began_at.astimezone():%Y-%m-%d %H:%M}"


RECORD = Command(
    "  projectone record                        speak; Space pauses, Enter stops\n"
    "  projectone record --seconds 10 --json\n"
    "  projectone record --unfinished           what a crash or Ctrl-C cut off\n"
    "  projectone record --finish               keep it as a recording",
    _arguments,
    _record,
)
