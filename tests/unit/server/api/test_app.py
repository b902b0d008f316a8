"""What holds for every route."""

import pytest
from fastapi import Depends, FastAPI
from tests.unit.server.api.conftest import Backend, reason

from projectone.server.api.app import openapi_document, require_policies
from projectone.server.api.auth import ANYONE


def test_a_route_without_a_policy_does_not_start() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.get("/guarded", dependencies=[Depends(ANYONE)])(lambda: None)
    require_policies(app)
    app.get("/forgotten")(lambda: None)
    with pytest.raises(ValueError, match="/forgotten"):
        require_policies(app)


def test_a_mounted_application_does_not_start() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/inner", FastAPI())
    with pytest.raises(ValueError, match="only plain routes"):
        require_policies(app)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nowhere", (404, "not-found")),
        ("GET", "/v1/devices", (405, "method-not-allowed")),
        ("PUT", "/v1/samples/not-a-uuid", (401, "device-unknown")),
        ("GET", "/latest-model-info?channel=%00", (422, "request")),
        ("POST", "/upload-training-data", (401, "device-unknown")),
        ("GET", "/v1/samples/", (404, "not-found")),
    ],
)
def test_every_refusal_has_the_agreed_form(backend: Backend, method: str, path: str, expected: tuple[int, str]) -> None:
    assert reason(backend.http.request(method, path)) == expected


def test_a_wrong_method_names_the_right_one(backend: Backend) -> None:
    assert backend.http.get("/v1/devices").headers["allow"] == "POST"


def test_an_error_of_ours_is_500_without_its_innards(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> dict[str, int]:
        raise RuntimeError("secret innards")

    monkeypatch.setattr(backend.services.catalog, "counts", broken)
    response = backend.http.get("/health/ready")
    assert reason(response) == (500, "internal")
    assert "secret" not in response.text


def test_no_answer_is_sniffed_or_kept_by_a_cache(backend: Backend) -> None:
    for path in ("/health/live", "/nowhere", "/openapi.json"):
        headers = backend.http.get(path).headers
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_the_description_names_every_path_and_the_form_of_refusals() -> None:
    document = openapi_document()
    assert "/v1/samples/{sample_id}" in document["paths"]
    for operations in document["paths"].values():
        for operation in operations.values():
            assert "4XX" in operation["responses"]
    assert "requestBody" in document["paths"]["/upload-training-data"]["post"]


def test_health_says_whether_samples_can_be_kept(backend: Backend) -> None:
    assert backend.http.get("/health/live").json()["status"] == "ok"
    assert backend.http.get("/health/ready").status_code == 200
    (backend.home / "staging").rmdir()
    assert backend.http.get("/health/ready").status_code == 503
