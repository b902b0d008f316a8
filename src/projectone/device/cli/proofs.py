"""`projectone consent proof`: which models learned from a sample, proved by the server and checked here."""

from __future__ import annotations

import argparse
from typing import Any

from projectone.contracts.uses import ModelUse, SignedUses
from projectone.device.cli.results import Result
from projectone.device.client import DeviceClient
from projectone.device.rooms import LearnedFrom
from projectone.errors import ContractError, UsageError
from projectone.storage.files import write_atomically
from projectone.storage.given_files import read_given

_MAX_BYTES = 4 * 1024 * 1024


def show_proof(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    """Ask for the proofs about a sample, and keep them if a file is named; or check kept ones, without the server."""
    if arguments.sample is None:
        if arguments.file is None:
            raise UsageError("proof: of which sample? expected --sample ID, or --file FILE to check one", usage="")
        content = read_given(arguments.file, max_bytes=_MAX_BYTES, expected="a proof")
        try:
            signed = SignedUses.from_bytes(content)
        except ContractError as error:
            raise ContractError(f"{str(arguments.file)!r}: expected a proof: {error}") from error
        return _shown(client.read_uses(signed))
    signed, found = client.uses(arguments.sample)
    if arguments.file is not None:
        write_atomically(arguments.file, signed.to_bytes())
    return _shown(found, kept=None if arguments.file is None else str(arguments.file))


def _shown(found: LearnedFrom, *, kept: str | None = None) -> Result:
    uses, learned = found
    facts: dict[str, Any] = {
        "sample_id": str(uses.sample_id),
        "issued_at": uses.issued_at.isoformat(),
        "n_releases": uses.n_releases,
        "models": [
            {
                **model.model_dump(mode="json", exclude={"proof"}),
                "has_learned": has_learned,
                "is_proved": _proved(model),
            }
            for model, has_learned in zip(uses.models, learned, strict=True)
        ],
        "file": kept,
    }
    lines = [f"sample {uses.sample_id}, as the server signed {uses.issued_at:%Y-%m-%d %H:%M} UTC:"]
    lines += [_line(model, is_in) for model, is_in in zip(uses.models, learned, strict=True)]
    if not uses.models:
        lines.append("  no model was released yet")
    if uses.n_releases > len(uses.models):
        lines.append(f"  and {uses.n_releases - len(uses.models)} older releases that are not named")
    if kept is not None:
        lines.append(f"kept in {kept}: `projectone consent proof --file {kept}` checks it again, without the server")
    return Result(facts, "\n".join(lines))


def _proved(model: ModelUse) -> bool:
    return model.proof is not None


def _line(model: ModelUse, has_learned: bool | None) -> str:
    if model.proof is None:
        what = "was trained before there were proofs" if has_learned is None else "was not trained on people's samples"
    else:
        what = "learned from it (proved)" if has_learned else "did not learn from it (proved)"
    return f"  model {model.version} ({model.channel}, {model.released_at:%Y-%m-%d}): {what}"
