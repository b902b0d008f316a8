"""Signed URLs: whoever holds one may do one thing with one file, for a while, without a token."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal
from urllib.parse import urlencode

from projectone.server.hubd.refusals import Refusal

LinkMethod = Literal["GET", "PUT", "POST"]
_FORM = {
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "upload_id": re.compile(r"[0-9a-f]{0,32}"),
    **{name: re.compile(r"[0-9]{1,18}") for name in ("repo_id", "part", "size_bytes", "expires_at_s")},
}


@dataclass(frozen=True)
class Link:
    """What a signed URL allows.

    Attributes:
        method: The one HTTP method it is good for.
        sha256: The large file it is about.
        size_bytes: Exact length of the body it is good for.
        expires_at_s: Unix time after which it is void.
        repo_id: The repository the upload counts for; 0 for a download.
        upload_id: Names one upload in parts, so that two uploads of one file do not mix; empty without parts.
        part: Number of the part, from 1; 0 for a whole file or for the completion of an upload.
    """

    method: LinkMethod
    sha256: str
    size_bytes: int
    expires_at_s: int
    repo_id: int = 0
    upload_id: str = ""
    part: int = 0

    def url(self, base: str, key: bytes) -> str:
        """The signed URL, below `base`."""
        query = {name: value for name, value in asdict(self).items() if name not in ("method", "sha256")}
        return f"{base}/{self.sha256}?{urlencode({**query, 'signature': self._signature(key)})}"

    def _signature(self, key: bytes) -> str:
        text = "\n".join(str(value) for value in asdict(self).values())
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def expiry(lifetime_s: int) -> int:
    """The Unix time `lifetime_s` from now."""
    return int(time.time()) + lifetime_s


def read_link(method: LinkMethod, sha256: str, query: Mapping[str, str], key: bytes) -> Link:
    """The permission that a request's URL carries.

    Raises:
        Refusal: 403 if the URL was not signed by us for this method, was changed, or has expired.
    """
    given = {**query, "sha256": sha256}
    if any(not form.fullmatch(given.get(name, "-")) for name, form in _FORM.items()):
        raise Refusal(403, "This URL was not issued here")
    link = Link(
        method=method,
        sha256=sha256,
        size_bytes=int(given["size_bytes"]),
        expires_at_s=int(given["expires_at_s"]),
        repo_id=int(given["repo_id"]),
        upload_id=given["upload_id"],
        part=int(given["part"]),
    )
    # Compared as bytes: compare_digest refuses strings that are not ASCII.
    if not hmac.compare_digest(link._signature(key).encode(), given.get("signature", "").encode()):
        raise Refusal(403, "This URL was not issued here")
    if link.expires_at_s < time.time():
        raise Refusal(403, "This URL has expired; ask for a new one")
    return link
