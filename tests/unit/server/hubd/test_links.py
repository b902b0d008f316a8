from __future__ import annotations

import time
from urllib.parse import parse_qsl, urlsplit

import pytest

from projectone.server.hubd.links import Link, expiry, read_link
from projectone.server.hubd.refusals import Refusal

KEY, DIGEST = b"k" * 32, "a" * 64
# A day: the whole suite may run between this line and the test.
LINK = Link("PUT", DIGEST, 10, expiry(86_400), repo_id=3, upload_id="ab", part=2)


def query_of(link: Link, key: bytes = KEY) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(link.url("http://hub", key)).query, keep_blank_values=True))


def test_a_link_reads_back_as_it_was_signed() -> None:
    assert read_link("PUT", DIGEST, query_of(LINK), KEY) == LINK


@pytest.mark.parametrize("name", ["size_bytes", "expires_at_s", "repo_id", "part"])
def test_no_number_of_a_link_can_be_changed(name: str) -> None:
    query = query_of(LINK)
    query[name] = str(int(query[name]) + 1)
    with pytest.raises(Refusal, match="not issued"):
        read_link("PUT", DIGEST, query, KEY)


def test_a_link_is_good_for_one_method_one_file_one_upload_and_one_key() -> None:
    query = query_of(LINK)
    for method, digest, key, upload_id in (
        ("POST", DIGEST, KEY, "ab"),
        ("PUT", "b" * 64, KEY, "ab"),
        ("PUT", DIGEST, b"other", "ab"),
        ("PUT", DIGEST, KEY, "cd"),
    ):
        with pytest.raises(Refusal, match="not issued"):
            read_link(method, digest, {**query, "upload_id": upload_id}, key)  # type: ignore[arg-type]


def test_a_link_expires() -> None:
    old = Link("GET", DIGEST, 10, int(time.time()) - 1)
    with pytest.raises(Refusal, match="expired"):
        read_link("GET", DIGEST, query_of(old), KEY)
