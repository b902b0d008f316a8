"""What every page gets: the client, the jobs, and the way to render a template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from projectone.contracts.consent import ConsentScope
from projectone.device.client import DeviceClient
from projectone.device.web.assets import Assets
from projectone.device.web.jobs import Jobs

THEME_COOKIE = "projectone-theme"
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")

_LEAVING: dict[ConsentScope, str] = {
    "corrections": "your corrections",
    "voice_donation": "your donations",
    "quality": "one count a week",
    "intents": "what you meant",
    "hosted_answers": "what you ask, masked",
}


@dataclass(frozen=True)
class NavigationItem:
    """One page in the navigation; `is_main` ones are in the bar of a narrow window, the others behind "More"."""

    path: str
    label: str
    icon: str
    is_main: bool


NAVIGATION = (
    NavigationItem("/", "Record", "microphone", True),
    NavigationItem("/recordings", "Recordings", "list", True),
    NavigationItem("/donate", "Donate", "heart", True),
    NavigationItem("/privacy", "Privacy", "shield", True),
    NavigationItem("/ask", "Ask", "question", False),
    NavigationItem("/model", "Model", "cube", False),
    NavigationItem("/vocabulary", "Vocabulary", "book", False),
    NavigationItem("/memory", "Memory", "bookmark", False),
    NavigationItem("/quality", "Quality", "chart", False),
)


class WebContext:
    """Handed to `routes(context)` of every page."""

    def __init__(self, client: DeviceClient, jobs: Jobs, assets: Assets) -> None:
        self.client = client
        self.jobs = jobs
        self.assets = assets
        self._paths: frozenset[str] = frozenset()
        self._templates = Environment(
            loader=PackageLoader("projectone.device.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.globals["asset"] = assets.url
        self._templates.filters["duration"] = duration_shown
        self._templates.filters["sentences"] = sentences_of

    def know_paths(self, paths: frozenset[str]) -> None:
        """Say which pages there are: the navigation leads to no other."""
        self._paths = paths

    def page(self, request: Request, name: str, *, title: str, http_status: int = 200, **facts: object) -> Response:
        """The page that `templates/NAME.html.j2` makes of `facts`."""
        shell = self._shell(request, title)
        return HTMLResponse(self._templates.get_template(f"{name}.html.j2").render({**shell, **facts}), http_status)

    def locked_page(self) -> str:
        """What a window sees that was not let in: nothing of this device."""
        return self._templates.get_template("locked.html.j2").render()

    def _shell(self, request: Request, title: str) -> Mapping[str, Any]:
        theme = request.cookies.get(THEME_COOKIE, "")
        here = request.url.path
        return {
            "title": title,
            "theme": theme if theme in ("light", "dark") else "",
            "navigation": [item for item in NAVIGATION if item.path in self._paths],
            "active": next((item.path for item in reversed(NAVIGATION) if _is_below(here, item.path)), ""),
            "leaving": leaving_shown(self.client),
            "cues": "on" if self.client.cues.is_on else "off",
        }


def leaving_shown(client: DeviceClient) -> str:
    """What leaves this device now, in one line for the foot of every page."""
    consents = client.consents()
    allowed = [words for scope, words in _LEAVING.items() if consents[scope] is not None]
    if client.status().is_reporting:
        allowed.append("how a new model does")
    return f"Sent as you allowed: {', '.join(allowed)}" if allowed else "Nothing leaves this device"


def duration_shown(duration_s: float) -> str:
    """Minutes and seconds, as a player shows them: ``1:05``."""
    whole_s = round(duration_s)
    return f"{whole_s // 60}:{whole_s % 60:02d}"


def sentences_of(words: str) -> list[str]:
    """What a person agrees to, a sentence at a time: joined with spaces it is the same, to the letter."""
    return _SENTENCE_END.split(words)


def _is_below(path: str, root: str) -> bool:
    return path == root or (root != "/" and path.startswith(f"{root}/"))
