"""schemathesis against the running service, with and without signatures: no 5xx, no answer outside the schema.

Needs the extra `fuzz`; the whole figure (5,000 cases and more) takes minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.caller import Caller
from tests.fakes.server_process import ServerProcess, running

from projectone.contracts.signatures import sign_request

pytest.importorskip("schemathesis", reason="the extra `fuzz` (schemathesis) is not installed")
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
PATIENCE_S = 120
N_CASES = 400
CHECKS = (not_a_server_error, response_schema_conformance)
PLAIN = settings(
    max_examples=N_CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
)

# A service that has no word for what it refuses.
WORDLESS = """
import sys
from projectone.server.api import problems
told = problems.response_to
problems.response_to = lambda error: told(error if isinstance(error, problems.Refusal) else RuntimeError())
from projectone.server import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@schemathesis.serializer("audio/wav", "application/zip")
def raw_body(_context: Any, value: Any) -> bytes:
    """Bytes go as they are."""
    content = getattr(value, "data", value)
    return content if isinstance(content, bytes) else str(content).encode(errors="surrogatepass")


class Signed(requests.auth.AuthBase):
    """Signs whatever is sent, as a device does."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        path, _, query = (request.path_url or "/").partition("?")
        content = body.encode() if isinstance(body, str) else bytes(body)
        headers = sign_request(
            self.caller.key,
            method=request.method or "GET",
            path=path,
            query=query,
            body=content,
            device_id=self.caller.device_id,
            created_s=int(time.time()),
            sample_header=str(request.headers.get("X-Sample", "")),
        )
        request.headers.update(headers)
        return request


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(tmp_path_factory.mktemp("schema") / "home", "--only", "api") as server:
        yield server


@pytest.fixture(scope="module")
def signed(server: ServerProcess) -> Signed:
    with httpx2.Client(base_url=server.api, timeout=PATIENCE_S) as http:
        ada = Caller(http, server.enrolment_code)
        assert ada.enrol().status_code == 201
        assert ada.grant().status_code == 200
    return Signed(ada)


@pytest.fixture(scope="module")
def schema(server: ServerProcess) -> Any:
    return schemathesis.openapi.from_url(f"{server.api}/openapi.json")


def test_no_generated_request_breaks_the_service(schema: Any, server: ServerProcess, signed: Signed) -> None:
    n_sent = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @PLAIN
        @given(operation.as_strategy(), st.booleans())
        def attempt(case: Any, is_signed: bool) -> None:
            nonlocal n_sent
            response = case.call(base_url=server.api, timeout=PATIENCE_S, auth=signed if is_signed else None)
            case.validate_response(response, checks=list(CHECKS))
            n_sent += 1

        attempt()
    assert n_sent >= 1_000
    assert httpx2.get(f"{server.api}/health/ready", timeout=PATIENCE_S).status_code == 200


def test_no_generated_sequence_of_requests_breaks_the_service(
    schema: Any, server: ServerProcess, signed: Signed
) -> None:
    base: Any = schema.as_state_machine()

    class Workflow(base):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": server.api, "timeout": PATIENCE_S, "auth": signed}

        def validate_response(self, response: Any, case: Any, **options: Any) -> None:
            case.validate_response(response, checks=list(CHECKS))

    Workflow.run(settings=settings(PLAIN, max_examples=100, stateful_step_count=8))
    assert httpx2.get(f"{server.api}/health/ready", timeout=PATIENCE_S).status_code == 200


def test_control_a_service_without_words_for_its_refusals_is_found(tmp_path: Path) -> None:
    with (
        running(tmp_path / "home", "--only", "api", program=[sys.executable, "-c", WORDLESS]) as server,
        httpx2.Client(base_url=server.api, timeout=PATIENCE_S) as http,
    ):
        ada = Caller(http, server.enrolment_code)
        assert ada.enrol().status_code == 201
        operation = schemathesis.openapi.from_url(f"{server.api}/openapi.json")["/v1/consents/{receipt_id}"]["PUT"]
        statuses: set[int] = set()

        @settings(PLAIN, max_examples=20)
        @given(operation.as_strategy())
        def attempt(case: Any) -> None:
            answer = case.call(base_url=server.api, timeout=PATIENCE_S, auth=Signed(ada))
            statuses.add(answer.status_code)

        attempt()
    assert 500 in statuses
