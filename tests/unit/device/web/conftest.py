"""The app over an empty home, as a browser window sees it that was opened with the token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.web.app import create_app, create_pages
from projectone.device.web.jobs import Jobs
from projectone.device.wiring import open_client

PORT, TOKEN = 7465, "the-token-of-this-start"
ORIGIN = f"http://127.0.0.1:{PORT}"


@dataclass
class Window:
    """A browser window on the app, and the same pages with nothing before them."""

    browser: TestClient
    unguarded: TestClient
    client: DeviceClient


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with open_client(DeviceSettings(home=tmp_path_factory.mktemp("device"))) as client:
        browser = TestClient(
            create_app(client, port=PORT, token=TOKEN, renew=lambda: TOKEN), base_url=ORIGIN, follow_redirects=False
        )
        browser.get(f"/enter?token={TOKEN}")
        pages = create_pages(client, Jobs())
        yield Window(browser, TestClient(pages, base_url=ORIGIN), client)
