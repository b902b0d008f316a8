"""What a Hub is told when it starts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from projectone.server.hubd.objects import LARGE_SUFFIXES

_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class HubSettings:
    """How one Hub is reached, and its limits.

    Attributes:
        public_url: The address clients use; every URL in an answer begins with it, never with the Host header.
        cdn_url: Where large files are served instead, through signed URLs; another origin than `public_url`.
            None: they are answered directly.
        large_file_bytes: From this size a file travels as a large file (LFS), whatever its name.
        large_suffixes: Names that end so are large files at any size.
        part_bytes: Larger uploads are cut into parts of this size; None: one PUT for each file.
        max_file_bytes: Larger files are refused.
        max_commit_bytes: Longest body of one commit.
        max_commit_lines: Most operations in one commit.
        url_lifetime_s: How long an upload or download URL is good for.
        quota_bytes: What the repositories of one namespace may hold together; None for no limit.
        page_length: Entries on one page of a listing.
        url_key: Signs upload and download URLs. A fresh key makes URLs given out before a restart void; the client
            then asks for new ones.
    """

    public_url: str
    cdn_url: str | None = None
    large_file_bytes: int = 10 * _MIB
    large_suffixes: frozenset[str] = LARGE_SUFFIXES
    part_bytes: int | None = 64 * _MIB
    max_file_bytes: int = 50_000 * _MIB
    max_commit_bytes: int = 256 * _MIB
    max_commit_lines: int = 25_000
    url_lifetime_s: int = 3600
    quota_bytes: int | None = None
    page_length: int = 1000
    url_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __post_init__(self) -> None:
        for url in (self.public_url, self.cdn_url):
            if url is not None and (not url.startswith(("http://", "https://")) or url.endswith("/")):
                raise ValueError(f"url: expected http(s)://host[:port][/path] without a slash at the end, got {url!r}")
        if self.part_bytes is not None and self.part_bytes < 1:
            raise ValueError(f"part_bytes: expected a positive number or None, got {self.part_bytes}")
