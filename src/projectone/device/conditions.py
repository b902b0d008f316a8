"""Whether this is a moment at which nobody minds: idle, on mains, not on a connection that is paid by the byte.

Everything is only read. Linux says it in `/proc` and `/sys`, systemd's logind and NetworkManager over D-Bus, macOS
through `pmset` and `ioreg`. What a system does not tell is None, and None is treated as allowed in the hours of the
night alone (`may_try`). What a program says is read by functions of text, which are tested on outputs of that form.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

IDLE_LOAD: Final = 0.5
"""Runnable threads for each core, over a minute: below it, the machine has nothing to do."""

IDLE_S: Final = 300.0
"""Nobody touched keyboard or mouse for so long."""

_ANSWER_S = 3.0

Ask = Callable[[tuple[str, ...]], str | None]
"""What a program prints; None if it is not there, fails or takes too long."""


@dataclass(frozen=True)
class Conditions:
    """What the system says of itself; None where it does not.

    Attributes:
        is_quiet: The processors have little to do.
        is_away: Nobody is at keyboard or mouse.
        is_on_mains: It runs from the wall, or has no battery.
        is_metered: The connection is paid by the byte.
    """

    is_quiet: bool | None = None
    is_away: bool | None = None
    is_on_mains: bool | None = None
    is_metered: bool | None = None


@dataclass(frozen=True)
class Hours:
    """A part of the day, by the clock on the wall; `end` is not in it. Over midnight where `end` comes before `start`.

    The same hour twice is the whole day.
    """

    start: int = 1
    end: int = 6

    def __post_init__(self) -> None:
        if not (0 <= self.start <= 23 and 0 <= self.end <= 23):
            raise ValueError(f"hours: expected 0 to 23, got {self.start} and {self.end}")

    def hold(self, now: datetime) -> bool:
        """Whether a moment is in them."""
        if self.start <= self.end:
            return self.start <= now.hour < self.end or self.start == self.end
        return now.hour >= self.start or now.hour < self.end


def may_try(conditions: Conditions, now: datetime, hours: Hours, *, is_patient: bool = True) -> tuple[str, ...]:
    """What a trial of a model waits for, in plain words; nothing if this is the moment.

    Args:
        conditions: What the system says.
        now: The time here, by the clock on the wall.
        hours: When a system that does not say whether somebody needs it is taken to be free.
        is_patient: Whether it can wait. If it has waited for days, a quiet machine is enough.
    """
    waits = []
    if conditions.is_quiet is False:
        waits.append("this machine has much to do")
    if not is_patient:
        return tuple(waits)
    if conditions.is_away is False:
        waits.append("you are using this machine")
    if conditions.is_on_mains is False:
        waits.append("it runs on battery")
    is_told = conditions.is_away is not None and conditions.is_on_mains is not None
    if not waits and not is_told and not hours.hold(now):
        unknown = "whether somebody uses it" if conditions.is_away is None else "whether it is charging"
        waits.append(f"this system does not say {unknown}, so it waits for {hours.start}:00 to {hours.end}:00")
    return tuple(waits)


def may_fetch(conditions: Conditions) -> tuple[str, ...]:
    """What a download waits for, in plain words; nothing if this is the moment. Unknown is allowed."""
    return ("this connection is paid by the byte",) if conditions.is_metered else ()


def look(
    *, platform: str = sys.platform, ask: Ask | None = None, root: Path = Path("/"), n_cores: int | None = None
) -> Conditions:
    """What this system says now. It takes a few milliseconds, and changes nothing."""
    ask = ask or run_reading
    cores = n_cores or os.cpu_count() or 1
    if platform == "darwin":
        return Conditions(
            is_quiet=quiet_from_load(ask(("sysctl", "-n", "vm.loadavg")), cores),
            is_away=away_from_ioreg(ask(("ioreg", "-c", "IOHIDSystem", "-d", "4"))),
            is_on_mains=mains_from_pmset(ask(("pmset", "-g", "batt"))),
        )
    if platform.startswith("linux"):
        metered = ask(("busctl", "get-property", *_NETWORK_MANAGER, "Metered"))
        return Conditions(
            is_quiet=quiet_from_load(_text(root / "proc/loadavg"), cores),
            is_away=away_from_logind(ask(("loginctl", "show-session", "--property=IdleHint"))),
            is_on_mains=mains_from_supplies(_supplies(root / "sys/class/power_supply")),
            is_metered=metered_from_network_manager(metered),
        )
    return Conditions()


_NETWORK_MANAGER = (
    "org.freedesktop.NetworkManager",
    "/org/freedesktop/NetworkManager",
    "org.freedesktop.NetworkManager",
)


def quiet_from_load(text: str | None, n_cores: int) -> bool | None:
    """From `/proc/loadavg` or `sysctl -n vm.loadavg`: the first number is the last minute's."""
    found = re.match(r"\{?\s*(\d+[.,]\d+)", text or "")
    return None if found is None else float(found[1].replace(",", ".")) / n_cores < IDLE_LOAD


def away_from_logind(text: str | None) -> bool | None:
    """From `loginctl show-session --property=IdleHint` (without a session: of all of them)."""
    found = re.search(r"^IdleHint=(yes|no)$", text or "", re.MULTILINE)
    return None if found is None else found[1] == "yes"


def away_from_ioreg(text: str | None) -> bool | None:
    """From `ioreg -c IOHIDSystem`: nanoseconds since keyboard or mouse were touched."""
    idle_ns = [int(number) for number in re.findall(r'"HIDIdleTime"\s*=\s*(\d+)', text or "")]
    return min(idle_ns) >= IDLE_S * 1e9 if idle_ns else None


def mains_from_pmset(text: str | None) -> bool | None:
    """From `pmset -g batt`."""
    found = re.search(r"drawing from '([^']+)'", text or "")
    return None if found is None else found[1] == "AC Power"


def mains_from_supplies(supplies: Iterable[Mapping[str, str]] | None) -> bool | None:
    """From the files of each entry of `/sys/class/power_supply`; a machine without a battery is on mains.

    A mouse has a battery too: only batteries of the system count.
    """
    if supplies is None:
        return None
    known = list(supplies)
    mains = [item for item in known if item.get("type") in ("Mains", "USB", "Wireless")]
    batteries = [item for item in known if item.get("type") == "Battery" and item.get("scope") != "Device"]
    if not batteries:
        return True
    if any(item.get("online") == "1" for item in mains):
        return True
    states = {item.get("status") for item in batteries}
    if "Discharging" in states:
        return False
    return True if states & {"Charging", "Full", "Not charging"} else None


def metered_from_network_manager(text: str | None) -> bool | None:
    """From NetworkManager's property `Metered`: 1 yes, 2 no, 3 it guesses yes, 4 it guesses no, 0 unknown."""
    found = re.match(r"u ([0-4])$", (text or "").strip())
    return None if found is None else {1: True, 3: True, 2: False, 4: False}.get(int(found[1]))


def run_reading(command: tuple[str, ...]) -> str | None:
    """What a program of this system prints. Only programs that read are asked."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ANSWER_S, stdin=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")


def _supplies(folder: Path) -> list[dict[str, str]] | None:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return None
    return [
        {name: (_text(entry / name) or "").strip() for name in ("type", "online", "status", "scope")}
        for entry in entries
    ]


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
