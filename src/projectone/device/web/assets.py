"""Style sheet, scripts and pictures, read once and served under the digest of all of them."""

from __future__ import annotations

import hashlib
import mimetypes
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PREFIX = "/static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Assets:
    """The folder `static/`. A new version has new addresses, so a browser may keep what it has for good."""

    def __init__(self) -> None:
        folder = files("projectone.device.web").joinpath("static")
        self._contents = {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}
        whole = hashlib.sha256()
        for name in sorted(self._contents):
            whole.update(name.encode() + b"\0" + hashlib.sha256(self._contents[name]).digest())
        self._version = whole.hexdigest()[:16]

    def url(self, name: str) -> str:
        """Where a browser finds `name`; modules beside it are found by their relative names.

        Raises:
            LookupError: if there is no such file; a page that names it is ours, and wrong.
        """
        if name not in self._contents:
            raise LookupError(f"static/{name}: there is no such file")
        return f"{PREFIX}/{self._version}/{name}"

    def route(self) -> Route:
        """Serves them."""
        return Route(f"{PREFIX}/{{version}}/{{name}}", self._serve)

    def _serve(self, request: Request) -> Response:
        name = request.path_params["name"]
        content = self._contents.get(name)
        if content is None:
            raise HTTPException(404)
        is_newest = request.path_params["version"] == self._version
        headers = {
            "etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            # A page of an older version asks again each time, and gets what there is.
            "cache-control": "public, max-age=31536000, immutable" if is_newest else "no-cache",
        }
        if headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        suffix = name[name.rfind(".") :]
        kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(content, media_type=kind, headers=headers)
