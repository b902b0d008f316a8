"""`projectone-server corpus snapshots` and `corpus snapshot`: what was trained on, signed, and proofs about it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from projectone.contracts.signatures import SNAPSHOT, key_id_of, verify_snapshot
from projectone.contracts.snapshots import MembershipProof, is_member
from projectone.errors import ContractError, DataError, SettingsError, SignatureError
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.datasets import DatasetItem, read_dataset
from projectone.server.corpus.datasheet import PICTURE, datasheet_of
from projectone.server.corpus.pictures import statistics_svg
from projectone.server.corpus.snapshot_proofs import openings_of, problems_of, prove
from projectone.server.corpus.snapshots import Snapshot, Snapshots
from projectone.server.corpus.statistics import MIN_PEOPLE, describe
from projectone.server.database import Engine
from projectone.server.delivery.signing import ReleaseSigner, load_signer
from projectone.server.home import open_catalog
from projectone.server.runs import RunRow, Runs
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import write_atomically
from projectone.storage.given_files import read_given

EXAMPLES = """\
  projectone-server corpus snapshots                      every dataset that was trained on, with its signed manifest
  projectone-server corpus snapshot show 3f9a
  projectone-server corpus snapshot verify 3f9a           signature, leaves and every sample; 1 if something is wrong
  projectone-server corpus snapshot prove 3f9a --sample 7d0c1f9e-... --out proof.json
  projectone-server corpus datasheet 3f9a --out sheet     README.md, statistics.svg; no figure about fewer than 5 people
  projectone-server corpus snapshot check proof.json      anywhere, with --key and no server: in it, or absent"""

ACTIONS = ("snapshots", "snapshot", "datasheet")
EXIT_HOLDS, EXIT_BROKEN = 0, 1
_MAX_PROOF_BYTES = 1_000_000


def add_arguments(actions: Any) -> list[argparse.ArgumentParser]:  # noqa: ANN401 - argparse's own action has no public name
    """Declare `snapshots` and `snapshot`; gives the parsers that print something."""
    listing = actions.add_parser("snapshots", help="datasets that runs learned from, newest first")
    single = actions.add_parser("snapshot", help="one of them: show it, verify it, prove what is in it")
    deeds = single.add_subparsers(dest="deed", required=True, metavar="DEED")
    showing = deeds.add_parser("show", help="its signed figures")
    verifying = deeds.add_parser("verify", help="signature, leaves, root, split and every sample against its leaf")
    proving = deeds.add_parser(
        "prove", help="whether a sample is in it, as a proof that is checked without this server"
    )
    checking = deeds.add_parser("check", help="check a proof; needs no server")
    telling = actions.add_parser("datasheet", help="write a snapshot's datasheet and a picture of its figures")
    for deed in (showing, verifying, proving, telling):
        deed.add_argument("snapshot", metavar="ID", help="id of the snapshot or of its dataset, or its beginning")
    proving.add_argument("--sample", required=True, type=UUID, metavar="UUID", help="the whole id of the sample")
    proving.add_argument("--out", type=Path, metavar="FILE", help="write the proof here; else it is printed")
    checking.add_argument("proof", type=Path, metavar="FILE")
    checking.add_argument("--key", metavar="KEY", help="the server's public release key, base64; else this server's")
    telling.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write them into")
    return [listing, showing, verifying, proving, checking, telling]


def open_snapshots(engine: Engine, catalog: Catalog, blobs: FileBlobs, signer: ReleaseSigner) -> Snapshots:
    """The snapshots of a server, signed with its release key."""
    return Snapshots(engine, catalog, blobs, sign=partial(signer.sign, SNAPSHOT), clock=lambda: datetime.now(UTC))


def execute(
    arguments: argparse.Namespace, settings: ServerSettings, engine: Engine, blobs: FileBlobs
) -> tuple[int, dict[str, Any], str]:
    """Do what is asked of snapshots; gives the exit code, the facts, and the same as a text."""
    signer = load_signer(settings.keys_folder / "release.key")
    catalog = open_catalog(settings, engine)
    snapshots = open_snapshots(engine, catalog, blobs, signer)
    if arguments.action == "snapshots":
        found = [facts_of(snapshot) for snapshot in snapshots.listed()]
        return EXIT_HOLDS, {"snapshots": found}, "\n".join(map(_line, found)) or "no run sealed a dataset yet"
    snapshot = snapshots.find(arguments.snapshot)
    if arguments.action == "datasheet":
        return _tell(snapshot, arguments.out, catalog, blobs)
    if arguments.deed == "show":
        run = run_of(snapshot, snapshots, Runs(engine))
        facts = facts_of(snapshot) | {"run": None if run is None else {"run_id": run.run_id, "state": run.state}}
        lines = {**facts, "run": "unknown" if run is None else f"{run.run_id}, {run.state}"}
        text = "\n".join(f"{name:15} {'nothing' if value is None else value}" for name, value in lines.items())
        return EXIT_HOLDS, facts, text
    if arguments.deed == "verify":
        problems = problems_of(snapshot, snapshots, blobs, signer.trusted)
        facts = {"snapshot_id": snapshot.snapshot_id, "problems": list(problems)}
        told = "\n".join(problems) or _sound(snapshot)
        return EXIT_BROKEN if problems else EXIT_HOLDS, facts, told
    return _prove(arguments, snapshot, snapshots, blobs)


def check_proof(arguments: argparse.Namespace, settings: ServerSettings) -> tuple[int, dict[str, Any], str]:
    """Whether a proof holds and what it shows; reads the file and the key, nothing else."""
    content = read_given(arguments.proof, max_bytes=_MAX_PROOF_BYTES, expected="a proof")
    try:
        proof = MembershipProof.from_bytes(content)
    except ContractError as error:
        raise ContractError(f"{str(arguments.proof)!r}: expected a proof: {error}") from error
    if arguments.key is None:
        trusted = load_signer(settings.keys_folder / "release.key").trusted
    else:
        try:
            trusted = {key_id_of(arguments.key): arguments.key}
        except ValueError as error:
            raise SettingsError("--key: expected a public key in base64") from error
    facts: dict[str, Any] = {"sample_id": str(proof.sample_id)}
    try:
        manifest = verify_snapshot(trusted, proof.snapshot)
        is_in = is_member(proof, manifest)
    except (SignatureError, ContractError) as error:
        return EXIT_BROKEN, {**facts, "holds": False, "problem": str(error)}, f"does not hold: {error}"
    facts |= {"holds": True, "is_member": is_in, "made_at": manifest.made_at.isoformat()}
    if proof.opening is not None and is_in:
        facts["opening"] = proof.opening.model_dump(mode="json")
    what = "is in" if is_in else "is not in"
    return EXIT_HOLDS, facts, f"holds: sample {proof.sample_id} {what} the dataset of {manifest.made_at:%Y-%m-%d %H:%M}"


def facts_of(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as the commands print it."""
    manifest = snapshot.manifest
    return {
        "snapshot_id": snapshot.snapshot_id,
        "made_at": manifest.made_at.isoformat(),
        "n_train": manifest.n_train,
        "n_dev": manifest.n_dev,
        "split": manifest.split,
        "n_speakers": manifest.n_speakers,
        "audio_s": manifest.audio_s,
        "dataset_sha256": manifest.dataset_sha256,
        "merkle_root": manifest.merkle_root,
        "signed_by": snapshot.signed.key_id,
        "replaces": manifest.replaces,
        "n_withdrawn": manifest.n_withdrawn,
        "replaced_by": snapshot.replaced_by,
    }


def run_of(snapshot: Snapshot, snapshots: Snapshots, runs: Runs) -> RunRow | None:
    """The run that sealed a snapshot, or the one which it was re-issued of; None if no run did."""
    found: RunRow | None = None
    while found is None:
        found = next(iter(runs.made_from([snapshot.manifest.dataset_sha256])), None)
        if snapshot.manifest.replaces is None:
            break
        snapshot = snapshots.find(snapshot.manifest.replaces)
    return found


def items_of(snapshot: Snapshot, catalog: Catalog, blobs: FileBlobs) -> list[DatasetItem]:
    """The samples of a snapshot that is in force.

    Raises:
        DataError: ``snapshot-replaced`` if it was re-issued without something that was withdrawn.
    """
    if snapshot.replaced_by is not None:
        raise DataError(
            "snapshot-replaced",
            f"snapshot {snapshot.snapshot_id[:12]}: a sample in it was withdrawn; use {snapshot.replaced_by[:12]}",
        )
    return read_dataset(catalog, blobs, snapshot.manifest.dataset_sha256) if snapshot.leaves else []


def _tell(snapshot: Snapshot, out: Path, catalog: Catalog, blobs: FileBlobs) -> tuple[int, dict[str, Any], str]:
    rows = {str(row.sample_id): row for row in catalog.living()}
    items = [item for item in items_of(snapshot, catalog, blobs) if item.sample_id in rows]
    statistics = describe(items, rows)
    files = {
        "README.md": datasheet_of(snapshot, statistics).encode(),
        PICTURE: statistics_svg(statistics).encode(),
        "statistics.json": json.dumps(asdict(statistics), indent=1, ensure_ascii=False).encode() + b"\n",
    }
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= files.keys()):
        raise SettingsError(f"--out: expected a new folder, or one that holds a datasheet alone, got {str(out)!r}")
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(out / name, content)
    facts = {"snapshot_id": snapshot.snapshot_id, "files": [str(out / name) for name in files]}
    return (
        EXIT_HOLDS,
        facts,
        f"written into {out}: {', '.join(files)}; no figure is about fewer than {MIN_PEOPLE} people",
    )


def _prove(
    arguments: argparse.Namespace, snapshot: Snapshot, snapshots: Snapshots, blobs: FileBlobs
) -> tuple[int, dict[str, Any], str]:
    if arguments.out is not None and arguments.out.is_dir():
        raise SettingsError(f"--out: expected a file to write, {str(arguments.out)!r} is a folder")
    items = [] if snapshot.replaced_by else items_of(snapshot, snapshots.catalog, blobs)
    own = [item for item in items if UUID(item.sample_id) == arguments.sample]
    proof = prove(snapshot, arguments.sample, openings_of(snapshots, own))
    content = proof.to_bytes() + b"\n"
    if arguments.out is not None:
        write_atomically(arguments.out, content)
    told = content.decode().rstrip() if arguments.out is None else f"proof written to {arguments.out}"
    return EXIT_HOLDS, json.loads(content), told


def _line(facts: dict[str, Any]) -> str:
    what = f"{facts['n_train']} + {facts['n_dev']} samples of {facts['n_speakers']}"
    state = f"replaced by {facts['replaced_by'][:12]}" if facts["replaced_by"] else "in force"
    minutes = facts["audio_s"] / 60
    return f"{facts['snapshot_id'][:12]}  {facts['made_at'][:16]}  {what:28}  {minutes:7.1f} min  {state}"


def _sound(snapshot: Snapshot) -> str:
    if snapshot.replaced_by is not None:
        return (
            f"holds: signature and {len(snapshot.leaves)} leaves; the samples themselves went with a withdrawal, "
            f"snapshot {snapshot.replaced_by[:12]} is what is left"
        )
    return f"holds: signature, {len(snapshot.leaves)} leaves, their root, and every sample against its leaf"
