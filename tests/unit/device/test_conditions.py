"""Idle, charging, metered: read from texts in the form in which systems print them. None of it was run on a Mac."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from projectone.device import conditions, memory
from projectone.device.conditions import Conditions, Hours, look, may_fetch, may_try

NOON, NIGHT = datetime(2026, 11, 22, 12, 0), datetime(2026, 11, 22, 3, 0)
GOOD = Conditions(is_quiet=True, is_away=True, is_on_mains=True)

# `pmset -g batt` on a laptop.
ON_BATTERY = """Now drawing from 'Battery Power'
 -InternalBattery-0 (id=22347875)\t71%; discharging; 4:12 remaining present: true
"""
CHARGING = """Now drawing from 'AC Power'
 -InternalBattery-0 (id=22347875)\t71%; charging; 1:05 remaining present: true
"""
# `ioreg -c IOHIDSystem -d 4`, cut.
TOUCHED = """    | | +-o IOHIDSystem  <class IOHIDSystem, id 0x100000455, registered, matched, active>
    | |     {
    | |       "HIDIdleTime" = 1348254166
    | |       "IOClass" = "IOHIDSystem"
"""
LAPTOP = [
    {"type": "Mains", "online": "0", "status": "", "scope": ""},
    {"type": "Battery", "online": "", "status": "Discharging", "scope": ""},
]


@pytest.mark.parametrize(("text", "expected"), [(ON_BATTERY, False), (CHARGING, True), ("", None), (None, None)])
def test_pmset_says_where_the_power_comes_from(text: str | None, expected: bool | None) -> None:
    assert conditions.mains_from_pmset(text) is expected


def test_ioreg_says_since_when_nobody_touched_anything() -> None:
    assert conditions.away_from_ioreg(TOUCHED) is False
    assert conditions.away_from_ioreg(TOUCHED.replace("1348254166", "301000000000")) is True
    assert conditions.away_from_ioreg("nothing") is None


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        (LAPTOP, False),
        ([{**LAPTOP[0], "online": "1"}, LAPTOP[1]], True),
        ([{**LAPTOP[1], "status": "Charging"}], True),
        ([{**LAPTOP[1], "status": "Unknown"}], None),
        ([], True),  # a desktop
        ([{**LAPTOP[1], "scope": "Device"}], True),  # a desktop with a mouse
        (None, None),
    ],
)
def test_the_kernel_says_where_the_power_comes_from(
    supplies: list[dict[str, str]] | None, expected: bool | None
) -> None:
    assert conditions.mains_from_supplies(supplies) is expected


@pytest.mark.parametrize(
    ("text", "n_cores", "expected"),
    [
        ("0.52 0.58 0.59 1/602 12071\n", 8, True),
        ("7.91 3.02 1.10 9/602 12071\n", 8, False),
        ("{ 1.36 1.51 1.57 }\n", 10, True),  # macOS
        ("{ 1,36 1,51 1,57 }\n", 2, False),  # where the comma is the point
        ("", 8, None),
        (None, 8, None),
    ],
)
def test_the_load_says_whether_there_is_much_to_do(text: str | None, n_cores: int, expected: bool | None) -> None:
    assert conditions.quiet_from_load(text, n_cores) is expected


@pytest.mark.parametrize(("text", "expected"), [("IdleHint=yes\n", True), ("IdleHint=no\n", False), ("", None)])
def test_logind_says_whether_somebody_is_there(text: str, expected: bool | None) -> None:
    assert conditions.away_from_logind(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("u 1\n", True), ("u 3", True), ("u 2", False), ("u 4\n", False), ("u 0", None), (None, None)],
)
def test_the_network_says_whether_it_is_paid_by_the_byte(text: str | None, expected: bool | None) -> None:
    assert conditions.metered_from_network_manager(text) is expected


def test_linux_is_asked_through_its_files_and_two_programs(tmp_path: Path) -> None:
    supply = tmp_path / "sys/class/power_supply/BAT0"
    supply.mkdir(parents=True)
    (supply / "type").write_text("Battery\n")
    (supply / "status").write_text("Discharging\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/loadavg").write_text("0.10 0.58 0.59 1/602 12071\n")
    said = {"loginctl": "IdleHint=yes\n", "busctl": "u 4\n"}
    seen = look(platform="linux", ask=lambda command: said[command[0]], root=tmp_path, n_cores=4)
    assert seen == Conditions(is_quiet=True, is_away=True, is_on_mains=False, is_metered=False)


def test_a_mac_is_asked_through_three_programs() -> None:
    said = {"pmset": CHARGING, "ioreg": TOUCHED, "sysctl": "{ 1.36 1.51 1.57 }"}
    assert look(platform="darwin", ask=lambda command: said[command[0]], n_cores=10) == Conditions(True, False, True)


def test_a_system_that_says_nothing_is_unknown_in_everything(tmp_path: Path) -> None:
    assert look(platform="linux", ask=lambda command: None, root=tmp_path) == Conditions()
    assert look(platform="win32") == Conditions()


def test_a_program_that_is_missing_or_fails_says_nothing() -> None:
    assert conditions.run_reading(("no-such-program-here",)) is None
    assert conditions.run_reading(("false",)) is None
    assert conditions.run_reading(("echo", "IdleHint=yes")) == "IdleHint=yes\n"


@pytest.mark.parametrize(
    ("seen", "now", "waits_for"),
    [
        (GOOD, NOON, ""),
        (Conditions(is_quiet=False, is_away=True, is_on_mains=True), NIGHT, "much to do"),
        (Conditions(is_quiet=True, is_away=False, is_on_mains=True), NIGHT, "you are using"),
        (Conditions(is_quiet=True, is_away=True, is_on_mains=False), NIGHT, "battery"),
        (Conditions(is_quiet=True, is_away=True), NOON, "does not say whether it is charging"),
        (Conditions(is_quiet=True, is_on_mains=True), NOON, "does not say whether somebody uses it"),
        (Conditions(), NOON, "1:00 to 6:00"),
        (Conditions(), NIGHT, ""),
    ],
)
def test_a_trial_waits_for_what_is_missing_and_says_so(seen: Conditions, now: datetime, waits_for: str) -> None:
    waits = may_try(seen, now, Hours())
    assert (waits == ()) if not waits_for else waits_for in waits[0]


def test_who_has_waited_for_days_needs_no_more_than_a_quiet_machine() -> None:
    assert may_try(Conditions(is_quiet=True, is_away=False, is_on_mains=False), NOON, Hours(), is_patient=False) == ()
    assert may_try(Conditions(is_quiet=False), NOON, Hours(), is_patient=False) != ()


def test_a_download_waits_only_where_the_connection_is_known_to_be_paid_by_the_byte() -> None:
    assert may_fetch(Conditions()) == may_fetch(Conditions(is_metered=False)) == ()
    assert may_fetch(Conditions(is_metered=True)) != ()


def test_hours_may_go_over_midnight() -> None:
    late = Hours(22, 6)
    assert [late.hold(datetime(2026, 1, 1, hour)) for hour in (21, 22, 0, 5, 6)] == [False, True, True, True, False]
    assert Hours(0, 0).hold(NOON)
    with pytest.raises(ValueError, match="0 to 23"):
        Hours(24, 6)


def test_the_smaller_of_memory_and_limit_is_what_is_left(tmp_path: Path) -> None:
    assert memory.available_bytes(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  8000000 kB\nMemFree:  100000 kB\nMemAvailable:  2000000 kB\n")
    assert memory.available_bytes(tmp_path) == 2_048_000_000
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("500\n")
    assert memory.available_bytes(tmp_path) == 2_048_000_000
    (group / "memory.max").write_text("900000500\n")
    assert memory.available_bytes(tmp_path) == 900_000_000


def test_a_model_fits_if_there_is_room_for_it_unpacked(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.bin").write_bytes(b"x" * 1_000_000)
    assert memory.has_room_for(model, tmp_path)  # nobody says
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemAvailable:  198000 kB\n")
    assert memory.has_room_for(model, tmp_path)
    (tmp_path / "proc/meminfo").write_text("MemAvailable:  190000 kB\n")
    assert not memory.has_room_for(model, tmp_path)
