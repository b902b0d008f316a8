"""The pages as their scripts use them: JSON in and out, and long work followed to its end."""

from __future__ import annotations

import html
import re
from typing import Any

from starlette.testclient import TestClient

from projectone.device.client import DeviceClient
from projectone.device.web.app import create_pages
from projectone.device.web.jobs import Jobs


class Pages:
    """The pages, and their jobs brought to an end."""

    def __init__(self, client: DeviceClient) -> None:
        self._jobs = Jobs()
        self._browser = TestClient(create_pages(client, self._jobs), raise_server_exceptions=False)

    def get(self, path: str) -> Any:
        answer = self._browser.get(path)
        return answer.json() if path.startswith("/api/") else answer.text

    def words(self, path: str) -> str:
        """What is read on a page: no tags, single spaces."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.get(path))).split())

    def content(self, path: str) -> bytes:
        return self._browser.get(path).content

    def send(self, method: str, path: str, content: bytes) -> tuple[int, Any]:
        answer = self._browser.request(method, path, content=content)
        return answer.status_code, answer.json()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = self._browser.request(method, path, json=body)
        return answer.status_code, answer.json()

    def do(self, path: str) -> dict[str, Any]:
        """Start a job; gives what it said at its end."""
        status, job = self.ask("POST", path)
        assert status == 202
        return self.end(job)

    def end(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job at its end."""
        found = self._jobs.find(job["id"])
        assert found is not None and found.ended.wait(30)
        document: dict[str, Any] = self.get(f"/api/jobs/{job['id']}")
        return document

    def consent(self, scope: str = "corrections") -> dict[str, Any]:
        (found,) = [item for item in self.get("/api/consents")["consents"] if item["scope"] == scope]
        return dict(found)
