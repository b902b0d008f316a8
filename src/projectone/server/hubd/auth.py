"""Who is calling, and what they may do with a repository."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request

from projectone.server.hubd.refusals import BAD_TOKEN_MESSAGE, Refusal, no_such_repo
from projectone.server.hubd.repos import HubStore
from projectone.server.hubd.settings import HubSettings
from projectone.server.hubd.tables import Repo
from projectone.server.hubd.token_rows import Role, Token

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_]|[.-](?![.-]))*(?<![.-])")
# First segments of our own paths: a namespace of that name could never be reached.
_RESERVED = frozenset({"api", "datasets", "spaces", "models"})
_KINDS = frozenset({"models", "datasets", "spaces"})


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request; without a token they see public repositories only."""

    token: Token | None

    def may_see(self, repo: Repo) -> bool:
        """Whether the repository exists for this caller."""
        return not repo.private or self._reaches(repo.namespace, repo.name)

    def may_write(self, namespace: str, name: str) -> bool:
        """Whether this caller may add to the repository, or make it."""
        return self._reaches(namespace, name) and self.token is not None and self.token.role != "read"

    def may_remove(self, namespace: str, name: str) -> bool:
        """Whether this caller may take away for good: the repository, its history, its large files, its privacy."""
        return self._reaches(namespace, name) and self.token is not None and self.token.role == "admin"

    def _reaches(self, namespace: str, name: str) -> bool:
        return self.token is not None and not self.token.scopes.isdisjoint((namespace, f"{namespace}/{name}"))


def issue_token(
    store: HubStore,
    name: str,
    role: Role,
    scopes: Collection[str],
    *,
    lifetime_s: float | None = None,
    by: str = "server",
) -> str:
    """A new bearer token; only its SHA-256 is kept, so this is the one time it can be read.

    Args:
        store: The Hub that shall know the token.
        name: What `whoami` answers, and the author of commits; the default namespace of new repositories.
        role: What it may do in all of `scopes`.
        scopes: Where the token counts, namespaces or ``namespace/name``; elsewhere its holder is a stranger.
        lifetime_s: Seconds until it expires; None for never.
        by: Who gave it out.

    Raises:
        ValueError: if a name could not stand in a URL.
    """
    for given in (name, *(part for scope in scopes for part in scope.split("/", 1))):
        check_name(given)
    bearer = f"hf_{secrets.token_urlsafe(32)}"
    expires_at_s = None if lifetime_s is None else time.time() + lifetime_s
    with store.writing() as rows:
        token_id = rows.add_token(_digest(bearer), Token(name, role, frozenset(scopes), expires_at_s))
        rows.note("hub-token-created", token_id, by, account=name, role=role, n_scopes=len(scopes))
    return bearer


def check_name(name: str) -> str:
    """`name`, if it may name a repository or a namespace.

    Raises:
        ValueError: if it could not stand in a URL or a folder, or is one of our own paths.
    """
    if len(name) > 96 or not _NAME.fullmatch(name) or name in _RESERVED or name.endswith(".git"):
        raise ValueError(f"name: expected letters, digits, '_' and single '.' or '-' inside, at most 96, got {name!r}")
    return name


def store_of(request: Request) -> HubStore:
    """The store behind the application."""
    store: HubStore = request.app.state.store
    return store


def settings_of(request: Request) -> HubSettings:
    """The settings of the application."""
    settings: HubSettings = request.app.state.settings
    return settings


StoreOf = Annotated[HubStore, Depends(store_of)]
SettingsOf = Annotated[HubSettings, Depends(settings_of)]


def caller_of(request: Request, store: StoreOf) -> Caller:
    """Who sent this request.

    Raises:
        Refusal: 401 if a token was sent that we do not know or that has expired.
    """
    header = request.headers.get("authorization")
    if header is None:
        return Caller(None)
    scheme, _, bearer = header.partition(" ")
    with store.reading() as rows:
        token = rows.token(_digest(bearer.strip()))
    is_fresh = token is not None and (token.expires_at_s is None or token.expires_at_s > time.time())
    if scheme.lower() != "bearer" or not is_fresh:
        raise Refusal(401, BAD_TOKEN_MESSAGE)
    return Caller(token)


CallerOf = Annotated[Caller, Depends(caller_of)]


def readable_repo(request: Request, store: StoreOf, caller: CallerOf) -> Repo:
    """The repository the path names, if it exists for this caller.

    Raises:
        Refusal: the same one whether it is missing or hidden.
    """
    values = {name: unquote(str(value)) for name, value in request.path_params.items()}
    kind = values.get("kind", "models")
    with store.reading() as rows:
        repo = rows.repo(kind, values["namespace"], values["name"]) if kind in _KINDS else None
    if repo is None or not caller.may_see(repo):
        raise no_such_repo(is_anonymous=caller.token is None)
    return repo


ReadableRepo = Annotated[Repo, Depends(readable_repo)]


def writable_repo(repo: ReadableRepo, caller: CallerOf) -> Repo:
    """The repository the path names, if this caller may change it.

    Raises:
        Refusal: as `readable_repo`; 401 without a token; 403 with one that does not write here.
    """
    if caller.token is None:
        raise Refusal(401, "A token with write access is needed")
    if not caller.may_write(repo.namespace, repo.name):
        raise Refusal(403, f"This token may not write to {repo.full_name!r}")
    return repo


WritableRepo = Annotated[Repo, Depends(writable_repo)]


def removable_repo(repo: WritableRepo, caller: CallerOf) -> Repo:
    """The repository the path names, if this caller may take away from it for good.

    Raises:
        Refusal: as `writable_repo`; 403 with a token that is no administrator's.
    """
    if not caller.may_remove(repo.namespace, repo.name):
        raise Refusal(403, f"This takes a token of the role admin for {repo.full_name!r}")
    return repo


RemovableRepo = Annotated[Repo, Depends(removable_repo)]


def _digest(bearer: str) -> str:
    return hashlib.sha256(bearer.encode()).hexdigest()
