"""`projectone-server policies`: what devices may answer. Nothing gets into the set that a person did not put there.

The set lies signed in the home (`policies/set.json`), as devices fetch it; it is the only copy.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from projectone.assist.policies import Policies, measure_threshold, without_policy
from projectone.assist.usual_encoder import embed, every_encoder, usual_name
from projectone.contracts import signatures
from projectone.contracts.base import canonical_json, plain_json, sha256_hex
from projectone.contracts.policies import Policy, PolicyResponse, PolicySet, SignedPolicies
from projectone.errors import DataError, SettingsError
from projectone.server.audit import account_of, record
from projectone.server.database import open_engine, writing
from projectone.server.delivery.signing import load_signer
from projectone.server.home import POLICIES, RELEASE_KEY, require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings
from projectone.server.work.assist import read_examples
from projectone.server.work.policies_shown import shown
from projectone.server.work.quarantine import user_name
from projectone.storage.files import make_folder, write_atomically
from projectone.storage.given_files import read_given

SUMMARY = (
    "What devices may answer: policies that a person approved, with examples and answers word by word. Devices fetch "
    "the signed set and choose their first answer from it themselves."
)
EXAMPLES = """\
  projectone-server policies add answers.json                approve what is in the file, in your account's name
  projectone-server policies measure --data intents.jsonl    how near a text must be for a policy to apply
  projectone-server policies check "where is my card"        which policy applies, and how near; or that none does
  projectone-server policies list --json
  projectone-server policies remove lost-card

  The file: {"policies": [{"policy_id": "lost-card", "text": "Block a lost card at once.",
    "examples": ["i lost my card"], "intents": ["report_lost_card"],
    "responses": [{"response_id": "lost-card-1", "text": "I can block it now."}]}]}
  A line of the data: {"text": "my card is gone", "label": "lost-card"}: a policy or one of its intents; null: none.
  A label that no policy is for counts as none, too, and is named."""

_OTHERWISE: Final = PolicyResponse(response_id="otherwise", text="I do not know what to say to that.")
_UNSAFE: Final = PolicyResponse(response_id="unsafe", text="I do not answer that.")
_MAX_DRAFT_BYTES: Final = 8_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the five actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    adding = actions.add_parser("add", help="approve the policies of a file, with your account's name")
    adding.add_argument("file", type=Path, metavar="FILE", help="JSON: policies, and if wished otherwise and unsafe")
    removing = actions.add_parser("remove", help="approve a policy no longer")
    removing.add_argument("policy", metavar="ID")
    measuring = actions.add_parser("measure", help="choose from which distance on no policy applies")
    measuring.add_argument("--data", required=True, type=Path, metavar="FILE", help="JSON lines: text, label or null")
    checking = actions.add_parser("check", help="check the signature, and which policy texts fall under")
    checking.add_argument("texts", nargs="*", metavar="TEXT")
    listing = actions.add_parser("list", help="every approved policy")
    for action in (adding, removing, measuring, checking, listing):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Change the set, or look at it."""
    require_home(settings)
    now = datetime.now(UTC)
    approved = read_set(settings)
    if arguments.action == "check":
        facts = _checked(_required(approved), arguments.texts)
    elif arguments.action == "list":
        facts = _required(approved).model_dump(mode="json")
    elif arguments.action == "measure":
        measured, others = _measured(_required(approved), arguments.data, now)
        facts = _renewed(approved, measured, settings, now) | {"without_policy": others}
    else:
        facts = _renewed(approved, _changed(approved, arguments, now), settings, now)
    print(json.dumps(facts) if arguments.json else shown(facts))
    return 0


def read_set(settings: ServerSettings) -> PolicySet | None:
    """The set in the home, its signature checked; None before there is one.

    Raises:
        SignatureError: if it was not signed by the home's key.
        ContractError: if it is no signed set.
    """
    path = settings.home / POLICIES
    if not path.exists():
        return None
    signer = load_signer(settings.keys_folder / RELEASE_KEY)
    return signatures.verify_policies(signer.trusted, SignedPolicies.from_bytes(path.read_bytes()))


def _changed(approved: PolicySet | None, arguments: argparse.Namespace, now: datetime) -> PolicySet:
    """The next set. What was measured counts for the examples it was measured with, so it goes when they change."""
    if arguments.action == "add":
        return _added(approved, arguments.file, account_of(user_name()), now)
    known = _required(approved)
    left = tuple(policy for policy in known.policies if policy.policy_id != arguments.policy)
    if len(left) == len(known.policies):
        raise DataError("policy-unknown", f"{arguments.policy!r}: no such policy (`policies list` shows them)")
    return _set_of({**known.model_dump(), "policies": left, "thresholds": ()}, known, now)


def _measured(known: PolicySet, data: Path, now: datetime) -> tuple[PolicySet, dict[str, int]]:
    """The set with what was measured, and how many texts there were of each label that no policy is for."""
    try:
        rows = read_examples(data)
        thresholds = tuple(measure_threshold(known, by, name, rows) for name, by in every_encoder().items())
    except ValueError as error:
        raise DataError("policy-unknown", f"{data.name}: {error}") from error
    return _set_of({**known.model_dump(), "thresholds": thresholds}, known, now), without_policy(known, rows)


def _added(approved: PolicySet | None, file: Path, by: str, now: datetime) -> PolicySet:
    draft = _read_draft(file)
    before = {policy.policy_id: policy for policy in approved.policies} if approved is not None else {}
    policies = dict(before)
    for raw in draft.get("policies", []):
        if not isinstance(raw, dict):
            raise DataError("policy-draft", f"{file.name}: policies: expected objects")
        old = before.get(str(raw.get("policy_id")))
        version = 1 if old is None else old.version + 1
        try:
            policy = Policy.model_validate({**raw, "version": version, "approved_by": by, "approved_at": now})
        except ValidationError as error:
            raise DataError("policy-draft", f"{file.name}: {raw.get('policy_id')!r:.60}: {_first(error)}") from error
        if old is None or _words_of(old) != _words_of(policy):  # the same again is no new version
            policies[policy.policy_id] = policy
    whole = {
        "thresholds": approved.thresholds if approved is not None and policies == before else (),
        "policies": tuple(policies.values()),
        "otherwise": draft.get("otherwise", approved.otherwise if approved is not None else _OTHERWISE),
        "unsafe": draft.get("unsafe", approved.unsafe if approved is not None else _UNSAFE),
    }
    return _set_of(whole, approved, now)


def _read_draft(file: Path) -> dict[str, Any]:
    try:
        draft: Any = plain_json(read_given(file, max_bytes=_MAX_DRAFT_BYTES, expected="a file of policies"))
    except (ValueError, RecursionError) as error:
        raise DataError("policy-draft", f"{file.name}: expected JSON: {error}") from error
    known = {"policies", "otherwise", "unsafe"}
    if isinstance(draft, dict) and set(draft) <= known and isinstance(draft.get("policies", []), list):
        return draft
    raise DataError("policy-draft", f"{file.name}: expected an object with policies, otherwise and unsafe")


def _set_of(whole: dict[str, Any], before: PolicySet | None, now: datetime) -> PolicySet:
    version = 1 if before is None else before.version + 1
    try:
        return PolicySet.model_validate({**whole, "version": version, "made_at": now})
    except ValidationError as error:
        raise DataError("policy-draft", f"the set would not be one: {_first(error)}") from error


def _renewed(before: PolicySet | None, after: PolicySet, settings: ServerSettings, now: datetime) -> dict[str, Any]:
    """The set from now on. One of equal content is not published: every device would fetch what it has."""
    is_changed = before is None or _content_of(before) != _content_of(after)
    kept = _publish(after, settings, now) if before is None or is_changed else before
    return kept.model_dump(mode="json") | {"is_changed": is_changed}


def _publish(approved: PolicySet, settings: ServerSettings, now: datetime) -> PolicySet:
    """On the record first: an entry without its set is seen; a set without its entry would not be."""
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        with writing(engine) as connection:
            record(
                connection,
                "policies-approved",
                f"policies-{approved.version}",
                by=user_name(),
                now=now,
                sha256=sha256_hex(approved.to_bytes()),
                policies=len(approved.policies),
            )
    finally:
        engine.dispose()
    signed = load_signer(settings.keys_folder / RELEASE_KEY).sign(signatures.POLICIES, approved)
    path = settings.home / POLICIES
    make_folder(path.parent)
    write_atomically(path, signed.to_bytes())
    return approved


def _checked(approved: PolicySet, texts: Sequence[str]) -> dict[str, Any]:
    policies = Policies(approved, embed, embedded_by=usual_name())
    if texts and policies.threshold is None:
        raise SettingsError(
            f"no threshold was measured for {usual_name()!r} since the set changed: projectone-server policies measure"
        )
    found = []
    for text in texts:
        match = policies.closest(text)
        facts = None if match is None else match.facts()
        found.append({"text": text, "applies": match is not None and match.applies, "nearest": facts})
    return {"version": approved.version, "is_signed": True, "texts": found}


def _required(approved: PolicySet | None) -> PolicySet:
    if approved is None:
        raise SettingsError("there is no set of policies yet: projectone-server policies add FILE")
    return approved


def _content_of(approved: PolicySet) -> bytes:
    return canonical_json(approved.model_dump(mode="json", exclude={"version", "made_at"}))


def _words_of(policy: Policy) -> bytes:
    return canonical_json(policy.model_dump(mode="json", exclude={"version", "approved_by", "approved_at"}))


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'the whole'}: {first['msg']}"
