"""A push to the Hub, told by its webhook, handed on to GitHub, where a Mac can finish the packages for phones.

The Hub sends a fixed body with a shared secret in a header, and cannot call GitHub itself. What it sends proves nothing
but that the sender knows the secret, and may be repeated by whoever saw it: so nothing of it is used but the commit,
and each commit is handed on once. The worker that converts here by itself needs none of this.

Source: huggingface.co/docs/hub/webhooks; `POST /repos/{owner}/{repo}/dispatches` of GitHub's REST API, 2022-11-28.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import httpx2

from projectone.errors import ContractError, SignatureError, TransportError

EVENT = "hub-model-pushed"
_BRANCH = "refs/heads/main"  # tags and pull requests are no models to ship
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 10.0

Outcome = Literal["dispatched", "seen", "ignored"]
Dispatch = Callable[[str, str], None]
"""Repository and commit on the Hub."""


class HubEvents:
    """What the Hub's webhook says, one event at a time.

    Args:
        secret: What the webhook was given; at least 16 characters, for anybody may try.
        repo_id: The repository on the Hub whose pushes count.
        folder: Remembers commits that were handed on: one empty file each, seen by every process.
        dispatch: Hands a commit on.
    """

    def __init__(self, *, secret: str, repo_id: str, folder: Path, dispatch: Dispatch) -> None:
        self._secret = secret.encode()
        self._repo_id = repo_id
        self._folder = folder
        self._dispatch = dispatch

    def take(self, secret: str, body: bytes) -> Outcome:
        """Hand the commit of a push on, unless it was before.

        Raises:
            SignatureError: if the sender does not know the secret.
            ContractError: if the body is no event.
            TransportError: if it could not be handed on; the same event may come again then.
        """
        if not hmac.compare_digest(secret.encode(errors="replace"), self._secret):
            raise SignatureError("webhook: the secret is another one")
        commit = pushed_commit(body, self._repo_id)
        if commit is None:
            return "ignored"
        self._folder.mkdir(parents=True, exist_ok=True)
        mark = self._folder / commit
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return "seen"
        try:
            self._dispatch(self._repo_id, commit)
        except BaseException:
            mark.unlink(missing_ok=True)
            raise
        return "dispatched"


def pushed_commit(body: bytes, repo_id: str) -> str | None:
    """The commit that `main` of a model repository got; None if the event is about something else.

    Raises:
        ContractError: if the body is no event.
    """
    try:
        event: dict[str, Any] = json.loads(body)
        scope, repo = event["event"]["scope"], event["repo"]
        is_ours = repo["type"] == "model" and repo["name"] == repo_id
        refs = [(ref["ref"], ref["newSha"]) for ref in event.get("updatedRefs") or ()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        wanted = "an event of the Hub: JSON with `event.scope`, `repo.type`, `repo.name` and `updatedRefs`"
        raise ContractError(f"webhook: expected {wanted}") from error
    if not is_ours or not isinstance(scope, str) or not (scope == "repo.content" or scope.startswith("repo.content.")):
        return None
    commit = next((sha for ref, sha in refs if ref == _BRANCH), None)  # null where the branch was removed
    if commit is None:
        return None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise ContractError("webhook: expected a commit of 40 hexadecimal digits")
    return commit


class GitHubDispatch:
    """Starts the workflows that wait for `repository_dispatch`.

    Args:
        repo: `owner/name` on GitHub.
        token: A fine-grained one for that repository alone, with `contents: write`.
        api_url: GitHub's API, or that of an enterprise server.
    """

    def __init__(self, repo: str, token: str, *, api_url: str = "https://api.github.com") -> None:
        self._url = f"{api_url}/repos/{repo}/dispatches"
        self._token = token

    def __call__(self, repo_id: str, commit: str) -> None:
        """Tell of one commit.

        Raises:
            TransportError: if GitHub did not take it. The token is not in the error.
        """
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        payload = {"event_type": EVENT, "client_payload": {"repo_id": repo_id, "revision": commit}}
        try:
            answer = httpx2.post(self._url, json=payload, headers=headers, timeout=_TIMEOUT_S, follow_redirects=False)
        except httpx2.HTTPError as error:
            raise TransportError(f"GitHub: {type(error).__name__}") from error
        if answer.status_code != 204:
            raise TransportError(f"GitHub: expected status 204, got {answer.status_code}")
