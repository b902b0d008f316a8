"""An API in this process, on a home of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.fakes.caller import Caller

from projectone.contracts import endpoints
from projectone.contracts.signatures import sign_request
from projectone.server.api.app import create_app
from projectone.server.api.services import Services
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.vault import Vault
from projectone.server.database import Engine, open_engine
from projectone.server.home import open_keys
from projectone.server.serve.initialise import initialise
from projectone.server.serve.processes import api_services
from projectone.server.settings import ServerSettings


@dataclass
class Backend:
    """The API and what lies behind it."""

    http: TestClient
    services: Services
    engine: Engine
    home: Path

    def caller(self, name: str = "ada", **options: str) -> Caller:
        """A device that is known and may send corrections."""
        caller = Caller(self.http, self.services.enrolment_code, name, **options)
        assert caller.enrol().status_code == 201
        assert caller.grant().status_code == 200
        return caller

    @property
    def catalog(self) -> Catalog:
        """The rows as the worker reads them: the API itself opens nothing."""
        settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(self.home)})
        return Catalog(self.engine, Vault(open_keys(settings, can_open=True)))

    def files(self) -> list[str]:
        """Every blob that is kept, and whatever else lies beside them."""
        return sorted(path.name for path in (self.home / "blobs").rglob("*") if path.is_file())


def signed_scope(backend: Backend, caller: Caller, body: bytes) -> dict[str, object]:
    """A signed upload of `body`, as a web server hands it to the application; its body comes when it is asked for."""
    path, now_s = endpoints.sample(caller.consent_id), int(backend.services.clock().timestamp())
    options = {"device_id": caller.device_id, "created_s": now_s, "sample_header": "e30="}
    headers = sign_request(caller.key, method="PUT", path=path, body=body, **options)  # type: ignore[arg-type]
    return {
        "type": "http",
        "method": "PUT",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }


def reason(response: object) -> tuple[int, str]:
    """Status and reason of a refusal, which must have the agreed form."""
    assert response.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    document = response.json()  # type: ignore[attr-defined]
    assert set(document) == {"type", "title", "status", "reason", "detail"}
    assert "Traceback" not in document["detail"]
    return document["status"], document["reason"]


@pytest.fixture(scope="session")
def fresh_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as `init` makes it, to be copied: the same for every test, and quicker."""
    home = tmp_path_factory.mktemp("fresh") / "home"
    initialise(ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home)}))
    return home


@pytest.fixture
def backend(tmp_path: Path, fresh_home: Path) -> Iterator[Backend]:
    home = Path(shutil.copytree(fresh_home, tmp_path / "home"))
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home)})
    engine = open_engine(settings.database_url)
    services = api_services(settings, engine)
    with TestClient(create_app(services), raise_server_exceptions=False) as http:
        yield Backend(http, services, engine, home)
    engine.dispose()
