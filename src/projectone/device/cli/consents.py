"""`projectone consent`: see, give or take back a consent, and what each receipt covers."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from projectone.contracts.consent import CONSENT_SCOPES, CONSENT_TEXTS, KEPT_HERE, ConsentScope, words_of
from projectone.contracts.consent_records import consent_record, limits_of
from projectone.contracts.erasures import ErasureReceipt
from projectone.device.accounts import ConsentAccount
from projectone.device.cli.proofs import show_proof
from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.device.outbox import EntryState
from projectone.errors import ConsentError

_GONE: Final[dict[ConsentScope, str]] = {
    "quality": "What was counted here is gone.",
    "hosted_answers": "The list of the questions that left is deleted here.",
}
"""What goes at once, of the purposes that no server is told of."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("show", "grant", "withdraw", "erased", "proof"), help="what to do")
    parser.add_argument("scope", nargs="?", choices=CONSENT_SCOPES, metavar="SCOPE", help=", ".join(CONSENT_SCOPES))
    parser.add_argument("--yes", action="store_true", help="agree to the words without being asked (grant)")
    parser.add_argument(
        "--include-earlier", action="store_true", help="also send what was corrected before agreeing (grant)"
    )
    parser.add_argument("--minor", action="store_true", help="I am not of age: what I give is not trained on (grant)")
    parser.add_argument("--sample", metavar="ID", help="which models learned from it, as `sent` shows its id (proof)")
    parser.add_argument("--file", type=Path, metavar="FILE", help="keep the proof here; alone: check it (proof)")
    parser.add_argument("--again", action="store_true", help="ask the server for the receipts again (erased)")


def _consent(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.action == "show":
        scopes = (arguments.scope,) if arguments.scope else CONSENT_SCOPES
        return _show(client, scopes)
    if arguments.action == "proof":
        return show_proof(client, arguments)
    if arguments.action == "erased":
        return _show_erasures(client, arguments)
    if arguments.scope is None:
        raise ConsentError(f"{arguments.action}: for what? expected one of {', '.join(CONSENT_SCOPES)}")
    if arguments.action == "grant":
        return _grant(client, arguments)
    receipt = client.withdraw(arguments.scope)
    if receipt is None:
        moments = [
            account.receipt.withdrawn_at
            for account in client.consent_accounts()
            if account.receipt.scope == arguments.scope
        ]
        last = max((moment for moment in moments if moment is not None), default=None)
        told = "there was no consent" if last is None else f"withdrawn already, on {last:%Y-%m-%d %H:%M} UTC"
        facts = {"scope": arguments.scope, "is_granted": False, "withdrawn_at": last and last.isoformat()}
        return Result(facts, f"{arguments.scope}: {told}; nothing leaves")
    text = f"{arguments.scope}: withdrawn; nothing more leaves. "
    if arguments.scope in KEPT_HERE:  # no server is told of it
        text += " ".join((_GONE[arguments.scope], *limits_of(receipt)))
    else:
        text += "`projectone sync` makes the server erase what it has."
    return Result({"scope": arguments.scope, "is_granted": False, "receipt_id": str(receipt.receipt_id)}, text)


def _grant(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    scope: ConsentScope = arguments.scope
    is_adult = not arguments.minor
    if not arguments.yes:
        words = CONSENT_TEXTS[scope]
        print(f"{words.text}\n(version {words.version} of these words, since {words.since})", file=sys.stderr)
        if not sys.stdin.isatty():
            raise ConsentError(f"{scope}: nobody is here to be asked; --yes says that the person has read these words")
        print("Do you agree? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return Result({"scope": scope, "is_granted": False}, f"{scope}: not granted", is_done=False)
        if is_adult and scope not in KEPT_HERE:  # nothing of it is trained on
            print("Are you an adult? [y/N] ", end="", file=sys.stderr, flush=True)
            is_adult = sys.stdin.readline().strip().lower() in ("y", "yes")
    granted = client.grant(scope, "cli", is_for_earlier=arguments.include_earlier, is_adult=is_adult)
    n_earlier = client.n_earlier(scope)
    facts = {
        "scope": scope,
        "is_granted": True,
        "is_adult": is_adult,
        "receipt_id": str(granted.receipt.receipt_id),
        "queued": granted.n_queued,
        "earlier_kept_here": n_earlier,
    }
    text = f"{scope}: granted" + ("" if is_adult else "; as you are not of age, the server takes none of it")
    if granted.n_queued:
        text += f"; to be sent too: {_made(scope, granted.n_queued)}"
    if n_earlier:
        text += f"; kept here: {_made(scope, n_earlier)} (--include-earlier sends what is earlier too)"
    return Result(facts, text)


def _made(scope: ConsentScope, n: int) -> str:
    """What was made before they agreed. Of what is sent without sound, nobody is to read that a recording leaves."""
    kind = "sentence" if scope == "intents" else "recording"
    return f"{n} earlier {kind}{'' if n == 1 else 's'}"


def _show(client: DeviceClient, scopes: tuple[ConsentScope, ...]) -> Result:
    """What is allowed now, and every receipt with its own words: all from this device, nobody is asked."""
    current = client.consents()
    accounts = [account for account in client.consent_accounts() if account.receipt.scope in scopes]
    facts: dict[str, Any] = {"consents": {}, "records": []}
    lines = []
    for scope in scopes:
        receipt, words = current[scope], CONSENT_TEXTS[scope]
        granted_at = receipt.granted_at.isoformat() if receipt else None
        facts["consents"][scope] = {
            "is_granted": receipt is not None,
            "granted_at": granted_at,
            "version": words.version,
            "since": words.since.isoformat(),
            "text": words.text,
        }
        lines.append(f"{scope}: {f'granted {granted_at}' if receipt else 'not granted'}")
        mine = [account for account in accounts if account.receipt.scope == scope]
        lines += [line for account in mine for line in _account_lines(account)]
        if receipt is None or receipt.text_version != words.version:
            lines.append(f"  words that would be agreed to now (version {words.version}, since {words.since}):")
            lines.append(f"    {words.text}")
    server = client.status().server
    facts["records"] = [
        consent_record(
            account.receipt,
            server=server,
            samples={sample_id: _place(where) for sample_id, where in account.samples.items()},
        )
        for account in accounts
    ]
    return Result(facts, "\n".join(lines))


def _account_lines(account: ConsentAccount) -> list[str]:
    receipt = account.receipt
    words = words_of(receipt.scope, receipt.text_version)
    until = f", withdrawn {receipt.withdrawn_at:%Y-%m-%d %H:%M}" if receipt.withdrawn_at else ""
    places = Counter(_place(where) for where in account.samples.values())
    n_samples = ", ".join(f"{n} {place}" for place, n in places.items()) or "none"
    return [
        f"  receipt {receipt.receipt_id}: given {receipt.granted_at:%Y-%m-%d %H:%M} UTC ({receipt.method}){until}",
        f"    words (version {receipt.text_version}{f', since {words.since}' if words else ''}): "
        + (words.text if words else "newer than this program: install the version that asked"),
        f"    samples: {n_samples}",
        "    what withdrawing does not reach:",
        *(f"      {limit}" for limit in limits_of(receipt)),
    ]


def _place(where: tuple[EntryState, bool]) -> str:
    """Where a sample is, in words. `sent` is all that the server acknowledged; what it had to forget may have left."""
    state, may_have_left = where
    if state == "withdrawn":
        return "withdrawn after it may have left" if may_have_left else "withdrawn before it left"
    return {"waiting": "waiting to be sent", "sending": "on the way", "sent": "sent", "refused": "refused"}[state]


def _show_erasures(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    """What the server signed about every withdrawal, or about those of one purpose."""
    receipts = [
        receipt for receipt in client.erasures(is_again=arguments.again) if arguments.scope in (None, receipt.scope)
    ]
    facts = {"erasures": [receipt.model_dump(mode="json") for receipt in receipts]}
    if not receipts:
        return Result(facts, "no receipt of an erasure; after a withdrawal, `projectone sync` brings one")
    limits = [f"  {limit}" for limit in dict.fromkeys(limit for receipt in receipts for limit in receipt.limits)]
    return Result(facts, "\n".join([*map(_erasure_line, receipts), "What erasing does not reach:", *limits]))


def _erasure_line(receipt: ErasureReceipt) -> str:
    done = "all gone" if receipt.is_complete else "a training run still holds some: ask again with --again"
    lines = [
        f"{receipt.scope}: withdrawn {receipt.withdrawn_at:%Y-%m-%d %H:%M}, signed by the server "
        f"{receipt.issued_at:%Y-%m-%d %H:%M} UTC (consent {receipt.receipt_id})",
        f"  samples erased: {receipt.n_samples}",
        f"  training sets that named them: {len(receipt.dataset_sha256s)}, {done}",
    ]
    if receipt.n_memories:
        lines.append(f"  memories that products had kept of you on the server: {receipt.n_memories} erased")
    for snapshot in receipt.snapshots:
        again = f"signed again without them as {snapshot.reissued_as[:12]}" if snapshot.reissued_as else "not yet again"
        lines.append(f"  list of {snapshot.made_at:%Y-%m-%d} ({snapshot.snapshot_id[:12]}): {again}")
    for release in receipt.releases:
        replaced = f"replaced by {release.replaced_by}" if release.replaced_by else "not replaced yet"
        if release.replaced_by is None and release.replace_by is not None:
            replaced += f", at the latest on {release.replace_by:%Y-%m-%d}"
        lines.append(f"  model {release.version} ({release.channel}) had learned from them: {replaced}")
    return "\n".join(lines)


CONSENT = Command(
    "  projectone consent show\n  projectone consent grant corrections\n  projectone consent withdraw corrections\n"
    "  projectone consent erased --again        what the server signed about it\n"
    "  projectone consent proof --sample 7d0c1f9e --file proof.json    which models learned from it, proved\n"
    "  projectone consent proof --file proof.json                      check that again, without the server",
    _arguments,
    _consent,
)
