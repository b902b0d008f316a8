"""A person withdraws after a release: real requests, an operator's own commands, and a backup from before it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.fakes.caller import Caller
from tests.fakes.tiny_whisper import say
from tests.unit.server.work.test_corpus import Auditor, auditor  # noqa: F401 - a fixture
from tests.unit.server.work.test_worker import make_office  # noqa: F401 - a fixture

from projectone.contracts import endpoints
from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.contracts.signatures import verify_erasure
from projectone.errors import DataError
from projectone.server.api.app import create_app
from projectone.server.cli import main
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.vault import Vault
from projectone.server.database import open_engine
from projectone.server.delivery.signing import load_signer
from projectone.server.home import open_keys
from projectone.server.serve.processes import api_services
from projectone.storage.blobs import FileBlobs
from projectone.waveform.wav import encode_wav

PEOPLE = ("ada", "bob", "cleo")
SENTENCES = ("red green blue", "black red")
RETRAIN_DAYS = 90


class Site:
    """A server that three people sent two corrections each to, and that released a model made of them."""

    def __init__(self, auditor: Auditor, capsys: pytest.CaptureFixture[str], folder: Path) -> None:  # noqa: F811
        self.office = auditor.office
        self.home = self.office.home.folder
        self.folder = folder
        self._capsys = capsys
        self.sample_ids: dict[str, list[str]] = {}
        with self.served() as caller_of:
            for number, name in enumerate(PEOPLE):
                who = caller_of(name)
                assert (who.enrol().status_code, who.grant().status_code) == (201, 200)
                for turn, text in enumerate(SENTENCES):
                    clip = encode_wav(say(text, seed=10 * number + turn, is_lively=True))
                    assert who.put(clip, text, name=str(turn)).status_code == 201
                    self.sample_ids.setdefault(name, []).append(
                        str(who.correction(clip, text, name=str(turn)).sample_id)
                    )
        auditor.run()

    @contextmanager
    def served(self) -> Iterator[Callable[[str], Caller]]:
        """The API, and how people come to it."""
        settings = replace(self.office.home.settings, enrolment_code="seven sisters")
        services = api_services(settings, self.office.home.engine)
        with TestClient(create_app(services)) as http:
            yield lambda name: Caller(http, services.enrolment_code, name)

    def run(self, *arguments: str) -> str:
        """A command of the operator's; gives what it printed."""
        self._capsys.readouterr()
        assert main(list(arguments)) == 0
        return self._capsys.readouterr().out

    def ask(self, *arguments: str) -> Any:
        """The same, for a program."""
        return json.loads(self.run(*arguments, "--json"))

    def readable(self, folder: Path, keys: Path) -> dict[str, int]:
        """How many clips of each person open in a copy of rows and clips, beside these keys."""
        copy = Path(tempfile.mkdtemp(dir=self.folder)) / "home"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("keys"))
        shutil.copytree(keys, copy / "keys")
        settings = type(self.office.home.settings).from_env({"PROJECTONE_SERVER_HOME": str(copy)})
        engine = open_engine(settings.database_url)
        catalog, blobs = Catalog(engine, Vault(open_keys(settings, can_open=True))), FileBlobs(copy / "blobs")
        found = {f"person-{name}": 0 for name in PEOPLE}
        for row in catalog.usable():
            try:
                found[row.contributor_id] += read_clip(catalog, blobs, row.clip_sha256).startswith(b"RIFF")
            except DataError:
                continue
        engine.dispose()
        return found


@pytest.fixture
def site(
    auditor: Auditor,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Site:
    return Site(auditor, capsys, tmp_path)


def test_a_withdrawal_after_a_release_reaches_rows_clips_lists_models_and_backups(site: Site) -> None:
    backup, safe = site.folder / "backup", site.folder / "safe"
    site.run("backup", str(backup), "--keys", str(safe))
    before = site.readable(backup, safe)
    assert before == {"person-ada": 2, "person-bob": 2, "person-cleo": 2}

    with site.served() as caller_of:
        answer = caller_of("ada").withdraw()
        assert answer.status_code == 200
        signed = caller_of("ada").signed("GET", endpoints.erasure(caller_of("ada").consent_id))
    receipt = verified(site, signed.content)

    # The command lists snapshots, models and dates.
    (shown,) = site.ask("corpus", "withdrawals")["withdrawals"]
    (snapshot,), (model,) = shown["snapshots"], shown["releases"]
    assert (shown["n_samples"], shown["is_complete"], model["version"]) == (2, True, "1.0.0")
    withdrawn_at = datetime.fromisoformat(shown["withdrawn_at"])
    assert datetime.fromisoformat(model["replace_by"]) == withdrawn_at + timedelta(days=RETRAIN_DAYS)
    told = site.run("corpus", "withdrawals")
    for fact in (snapshot["snapshot_id"][:12], snapshot["reissued_as"][:12], "model 1.0.0", model["replace_by"][:10]):
        assert fact in told
    assert [item.version for item in receipt.releases] == ["1.0.0"]
    assert receipt.limits, "what it does not reach is printed beside it"

    # No copy opens beside the keys of today: not the home, not the backup.
    gone = {"person-ada": 0, "person-bob": 2, "person-cleo": 2}
    assert site.readable(site.home, site.home / "keys") == gone
    assert site.readable(backup, site.home / "keys") == gone
    # The control, and the limit that the receipt names: keys copied before open what was copied before.
    assert site.readable(backup, safe) == before

    # The next model's manifest proves the absence, in a file that anybody checks.
    site.office.reopen(retrain_days=4.0 * RETRAIN_DAYS)  # it begins ahead of the date: half of this, so today
    (run,) = site.office.worker.work_once()
    assert (run.trigger, run.version) == ("withdrawal", "1.1.0")
    (replaced,) = site.ask("corpus", "withdrawals")["withdrawals"][0]["releases"]
    assert replaced["replaced_by"] == "1.1.0"
    assert run.dataset_sha256 is not None
    for name, ids in site.sample_ids.items():
        for sample_id in ids:
            proof = str(site.folder / f"{sample_id}.json")
            site.run("corpus", "snapshot", "prove", run.dataset_sha256, "--sample", sample_id, "--out", proof)
            checked = site.ask("corpus", "snapshot", "check", proof)
            assert checked["is_member"] is (name != "ada")


def verified(site: Site, content: bytes) -> ErasureReceipt:
    trusted = load_signer(site.home / "keys" / "release.key").trusted
    return verify_erasure(trusted, SignedErasure.from_bytes(content))
