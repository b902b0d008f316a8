"""`projectone-server devices`: who may send, and the end of a device that was stolen or lies."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from projectone.contracts.texts import printable
from projectone.errors import DataError, SettingsError
from projectone.server.corpus.suspects import Suspects
from projectone.server.corpus.vault import Vault
from projectone.server.database import open_engine
from projectone.server.devices.catalog import Device, DeviceCatalog
from projectone.server.home import open_keys, require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings
from projectone.server.work.quarantine import user_name

SUMMARY = "List the devices that may send, look at one, and revoke one that was stolen."
EXAMPLES = """\
  projectone-server devices list
  projectone-server devices show phone-7d0c               what it sent, by state
  projectone-server devices revoke phone-7d0c --reason "stolen on the train"
  projectone-server corpus review --reason device-revoked            what it had sent and nobody used: listen, then
  projectone-server corpus review accept --reason device-revoked     let it go on, or `refuse` it

A revoked device is refused from its next request on. What it sent before and no run has used is held for a person;
samples of the same person's other devices are not touched."""

UNDER_WAY = timedelta(hours=1)
"""A request that was let in before a revocation has ended by then; until then the worker looks for what it brought."""

_MAX_REASON_CHARACTERS = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every device, the newest first")
    listing.add_argument("--revoked", action="store_true", help="only those that were revoked")
    showing = actions.add_parser("show", help="one device, and what it sent")
    revoking = actions.add_parser("revoke", help="refuse a device from now on, and hold what it sent for a person")
    for with_device in (showing, revoking):
        with_device.add_argument("device", metavar="ID", help="id of the device, or its beginning")
    revoking.add_argument("--reason", required=True, metavar="TEXT", help="why; kept with the device")
    revoking.add_argument("--by", metavar="NAME", help="who decides (default: the user of this process)")
    for action in (listing, showing, revoking):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """List, show or revoke."""
    require_home(settings)
    engine = open_engine(settings.database_url)
    keys = open_keys(settings, can_open=True)
    try:
        upgrade_database(engine)
        devices, suspects = DeviceCatalog(engine), Suspects(engine, Vault(keys))
        if arguments.action == "list":
            facts, text = _list(devices, is_revoked=arguments.revoked)
        elif arguments.action == "show":
            facts, text = _show(_find(devices, arguments.device), suspects)
        else:
            facts, text = _revoke(devices, suspects, arguments)
    finally:
        keys.close()
        engine.dispose()
    print(json.dumps(facts) if arguments.json else text)
    return 0


def hold_what_came_late(devices: DeviceCatalog, suspects: Suspects, now: datetime) -> int:
    """Hold what requests brought that were under way when their device was revoked; gives how many samples."""
    return sum(
        suspects.hold(device.device_id, device.contributor_id) for device in devices.revoked_since(now - UNDER_WAY)
    )


def _list(devices: DeviceCatalog, *, is_revoked: bool) -> tuple[dict[str, Any], str]:
    found = [device for device in devices.listed() if device.revoked_at is not None or not is_revoked]
    return {"devices": [_facts(device) for device in found]}, "\n".join(map(_line, found)) or "no device is enrolled"


def _show(device: Device, suspects: Suspects) -> tuple[dict[str, Any], str]:
    states = dict(suspects.states(device.device_id, device.contributor_id))
    sent = ", ".join(f"{n} {state}" for state, n in sorted(states.items())) or "nothing that is here"
    why = f"\n  because: {printable(device.revoked_because)}" if device.revoked_because else ""
    return {**_facts(device), "samples": states}, f"{_line(device)}{why}\n  sent: {sent}"


def _revoke(devices: DeviceCatalog, suspects: Suspects, arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    reason = arguments.reason.strip()[:_MAX_REASON_CHARACTERS]
    if not reason:
        raise SettingsError("--reason: expected why the device is revoked, got nothing")
    device = _find(devices, arguments.device)
    is_new = devices.revoke(device.device_id, datetime.now(UTC), by=arguments.by or user_name(), because=reason)
    n_held = suspects.hold(device.device_id, device.contributor_id)
    n_used = suspects.states(device.device_id, device.contributor_id)["used"]
    text = (
        f"{device.device_id}: {'refused from now on' if is_new else 'was revoked before'}; {n_held} of its samples are "
        "held for a person (`projectone-server corpus review --reason device-revoked`)"
    )
    if n_used:
        text += f"; {n_used} were used in released models already"
    facts = {**_facts(_find(devices, device.device_id)), "is_new": is_new, "held": n_held, "used": n_used}
    return facts, text


def _find(devices: DeviceCatalog, named: str) -> Device:
    exact = devices.known(named)
    found = [exact] if exact else [item for item in devices.listed() if named and item.device_id.startswith(named)]
    if len(found) != 1:
        how_many = f"{len(found)} of them" if found else "none"
        raise DataError("device-unknown", f"device {named!r}: expected the beginning of one id, found {how_many}")
    return found[0]


def _facts(device: Device) -> dict[str, Any]:
    plain = asdict(device)
    moments = {name: plain[name] and plain[name].isoformat() for name in ("enrolled_at", "revoked_at")}
    return {**plain, **moments}


def _line(device: Device) -> str:
    state = f"revoked {device.revoked_at:%Y-%m-%d %H:%M}" if device.revoked_at else "may send"
    return f"{device.device_id}  of {device.contributor_id}  enrolled {device.enrolled_at:%Y-%m-%d %H:%M}  {state}"
