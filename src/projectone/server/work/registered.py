"""`projectone-server registry`: versions on the Hub, what they were made of, the names they have."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from projectone.contracts.versions import ModelVersion
from projectone.errors import DataError, RegistryError, SettingsError
from projectone.server.database import open_engine
from projectone.server.delivery.ledger import Ledger, Release
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.registry.aliases import ALIASES, AliasedModel, AliasTable, HubAliases, as_released, without
from projectone.server.registry.hub import HubRegistry
from projectone.server.registry.protocol import ModelManifest, PublishedModel
from projectone.server.registry.provenance import PUBLIC_KEY, fingerprint
from projectone.server.settings import ServerSettings
from projectone.server.work.families import add_family, settings_of
from projectone.server.work.handout import released_models

SUMMARY = (
    "The models on the Hub: their versions, what each was made of, the names `production`, `candidate` and `previous`, "
    "and whether what lies there is what was released and signed."
)
EXAMPLES = """\
  projectone-server registry list
  projectone-server registry show 1.2.0 --json          data, base, code, settings, seed, scores, consent
  projectone-server registry aliases                    what production, candidate and previous stand for
  projectone-server registry verify production          every byte, the signature, and the release of that version
  projectone-server registry verify v1.2.0 --out model  and keep the folder
  projectone-server registry list --family intents       the classifiers of intents
  projectone-server registry erase 1.1.0 --yes          delete a withdrawn model's weights from the Hub"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every version, oldest first")
    showing = actions.add_parser("show", help="what one version was made of")
    naming = actions.add_parser("aliases", help="the names that move")
    naming.add_argument("--align", action="store_true", help="first let production and previous be what is released")
    verifying = actions.add_parser("verify", help="compare one version with its digests, signature and release")
    erasing = actions.add_parser("erase", help="delete one version's weights for good")
    for action in (showing, verifying):
        action.add_argument("version", metavar="VERSION", help="three numbers, an alias, a tag or a commit id")
    verifying.add_argument("--key", type=Path, help="public key of the signature (default: the one in keys/)")
    verifying.add_argument("--out", type=Path, help="keep the verified folder here")
    erasing.add_argument("version", metavar="VERSION", help="three numbers; not the one in production")
    erasing.add_argument("--yes", action="store_true", help="there is no way back")
    for action in (listing, showing, naming, verifying, erasing):
        add_family(action)
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """List, show, verify or erase."""
    require_home(settings)
    settings = settings_of(arguments, settings)
    registry = HubRegistry(settings.hub_endpoint, settings.hub_token or None, settings.hub_repo)
    aliases = HubAliases(settings.hub_endpoint, settings.hub_token or None, settings.hub_repo)
    if arguments.action == "list":
        facts, text = _list(registry, aliases.read())
    elif arguments.action == "show":
        facts, text = _show(registry, _revision(arguments.version, aliases))
    elif arguments.action == "aliases":
        table = _aligned(settings, aliases) if arguments.align else aliases.read()
        facts, text = _aliases(table, aliases.lagging(table))
    elif arguments.action == "verify":
        facts, text = _verify(arguments, settings, registry, _revision(arguments.version, aliases))
    else:
        facts, text = _erase(arguments, settings, registry, aliases)
    print(json.dumps(facts) if arguments.json else text)
    return 0


def _list(registry: HubRegistry, table: AliasTable) -> tuple[dict[str, Any], str]:
    models = [(model, _names(table, model.commit)) for model in registry.list_models()]
    lines = [f"{model.version:10}  {model.commit[:12]}  {model.run_id}  {' '.join(names)}" for model, names in models]
    plain = [{**_plain(model), "aliases": names} for model, names in models]
    text = "\n".join(line.rstrip() for line in lines) or "nothing is published yet"
    return {"repo_id": registry.repo_id, "models": plain}, text


def _show(registry: HubRegistry, revision: str) -> tuple[dict[str, Any], str]:
    commit, manifest = registry.manifest_at(revision)
    facts = {"repo_id": registry.repo_id, "commit": commit, **manifest.model_dump(mode="json")}
    return facts, "\n".join(_lines(commit, manifest))


def _lines(commit: str, manifest: ModelManifest) -> list[str]:
    lines = [f"{manifest.version}  commit {commit}", f"run {manifest.run_id}"]
    made = manifest.lineage
    if made is None:
        return [*lines, "published before models said what they were made of"]
    lines.append(f"base {made.base} {made.base_sha256[:12]}; versions before: {', '.join(made.before) or 'none'}")
    if made.dataset_sha256 is not None:
        people = "few people" if made.n_people is None else f"{made.n_people} people"
        lines.append(
            f"data {made.dataset_sha256[:12]}: {made.n_samples} samples of {people}, {made.audio_s / 3600:.2f} h; "
            f"agreed to: {', '.join(made.consent_scopes)}"
        )
        lines.append(f"seed {made.seed}; code {', '.join(f'{name} {value}' for name, value in made.code.items())}")
    for name, score in (("words", made.scores.wer), ("characters", made.scores.cer), *made.scores.slices.items()):
        lines.append(f"{score.value:7.2%} ({score.low:.2%} to {score.high:.2%})  {name}")
    if made.decision is not None:
        lines.append(f"gate: {made.decision}{' ' if made.codes else ''}{', '.join(made.codes)}")
    return lines


def _aligned(settings: ServerSettings, aliases: HubAliases) -> AliasTable:
    models = released_models(_releases(settings), aliases.repo_id)
    return aliases.move(lambda table: as_released(table, models), "As released")


def _aliases(table: AliasTable, lagging: list[Any]) -> tuple[dict[str, Any], str]:
    facts = {alias: None if (model := table.of(alias)) is None else model.model_dump() for alias in ALIASES}
    lines = []
    for alias in ALIASES:
        model = table.of(alias)
        what = "-" if model is None else f"{model.version}  {model.commit[:12]}  {model.run_id}"
        lines.append(f"{alias:10}  {what}{'  (its branch is elsewhere)' if alias in lagging else ''}")
    return {"aliases": facts, "lagging": lagging}, "\n".join(lines)


def _verify(
    arguments: argparse.Namespace, settings: ServerSettings, registry: HubRegistry, revision: str
) -> tuple[dict[str, Any], str]:
    key: Path = arguments.key or settings.keys_folder / PUBLIC_KEY
    if not key.is_file():
        raise SettingsError(f"{str(key)!r}: expected the public key of the signatures; name another one with --key")
    with tempfile.TemporaryDirectory(prefix="verify-", dir=settings.home) as place:
        folder = Path(place) / "model"
        model = registry.fetch(revision, folder, public_key=key)
        release = _release_of(settings, model)
        if arguments.out is not None:
            if arguments.out.exists():
                raise SettingsError(f"{str(arguments.out)!r}: exists already; name a folder that does not")
            shutil.copytree(folder, arguments.out)
    facts = {**_plain(model), "key_sha256": fingerprint(key), "released_as": None if release is None else release}
    what = "it was not released from here" if release is None else f"it is release {release} of {settings.channel!r}"
    return facts, f"{model.version}  commit {model.commit}: {len(model.files)} files are as they were signed; {what}"


def _release_of(settings: ServerSettings, model: PublishedModel) -> int | None:
    """The number under which these bytes were released.

    Raises:
        RegistryError: if the release of this version names other bytes or another commit.
    """
    for release in reversed(_releases(settings)):
        manifest = release.manifest
        if manifest.version == model.version and manifest.repo_id == model.repo_id:
            if (manifest.commit, manifest.weights_sha256) != (model.commit, model.weights_sha256):
                raise RegistryError(
                    f"{model.version}: release {manifest.seq} is commit {manifest.commit} with weights "
                    f"{manifest.weights_sha256}; the Hub has commit {model.commit} with {model.weights_sha256}"
                )
            return manifest.seq
    return None


def _erase(
    arguments: argparse.Namespace, settings: ServerSettings, registry: HubRegistry, aliases: HubAliases
) -> tuple[dict[str, Any], str]:
    version = str(_parsed(arguments.version))
    releases = _releases(settings)
    if releases and releases[-1].manifest.version == version:
        raise DataError("in-production", f"{version}: is what devices get now; release another model first")
    if not arguments.yes:
        raise SettingsError(f"{version}: its weights on {registry.repo_id} go for good; say --yes")
    commit, _ = registry.manifest_at(f"v{version}")
    gone = registry.erase(version)  # first: refused, it leaves the names as they are
    aliases.move(lambda table: without(table, commit), f"{version} is erased")
    return {"version": version, "commit": commit, "deleted": gone}, f"{version}: {len(gone)} large files are deleted"


def _releases(settings: ServerSettings) -> list[Release]:
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        return Ledger(engine, public_url=settings.public_url).releases(settings.channel)
    finally:
        engine.dispose()


def _revision(asked: str, aliases: HubAliases) -> str:
    """What a person calls a version, to a revision of the repository."""
    if asked in ALIASES:
        model: AliasedModel | None = aliases.read().of(asked)
        if model is None:
            raise DataError("alias-unset", f"{asked!r}: stands for nothing yet; see `registry list`")
        return model.commit
    try:
        return f"v{ModelVersion.parse(asked)}"
    except ValueError:
        return asked


def _parsed(text: str) -> ModelVersion:
    try:
        return ModelVersion.parse(text.removeprefix("v"))
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _names(table: AliasTable, commit: str) -> list[str]:
    return [alias for alias in ALIASES if (model := table.of(alias)) is not None and model.commit == commit]


def _plain(model: PublishedModel) -> dict[str, Any]:
    return {**model.model_dump(mode="json"), "weights_sha256": model.weights_sha256}
