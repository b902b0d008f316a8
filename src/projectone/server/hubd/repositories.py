"""Routes about the caller and whole repositories: who am I, create, hide, delete, and the check of a model card."""

from __future__ import annotations

import re
from typing import Any

import yaml  # type: ignore[import-untyped]
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from projectone.server.hubd.auth import CallerOf, RemovableRepo, SettingsOf, StoreOf, check_name
from projectone.server.hubd.commits import begin_repo
from projectone.server.hubd.refusals import Refusal, no_such_repo

_KIND_OF_TYPE = {"model": "models", "dataset": "datasets", "space": "spaces"}
_CARD_HEADER = re.compile(r"\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)

router = APIRouter()


class RepoRequest(BaseModel):
    """A repository to create or delete. `private` is what older clients send."""

    name: str
    organization: str | None = None
    type: str | None = None
    visibility: str | None = None
    private: bool | None = None


class RepoSettings(BaseModel):
    """What to change; None leaves it as it is."""

    visibility: str | None = None
    private: bool | None = None


class Card(BaseModel):
    """A model card to check."""

    content: str
    repoType: str = "model"  # the client's word


@router.get("/api/whoami-v2")
def who_am_i(caller: CallerOf) -> dict[str, Any]:
    """Whose token this is."""
    if caller.token is None:
        raise Refusal(401, "A token is needed")
    others = sorted({scope for scope in caller.token.scopes if "/" not in scope} - {caller.token.name})
    return {
        "type": "user",
        "id": caller.token.name,
        "name": caller.token.name,
        "fullname": caller.token.name,
        "orgs": [{"type": "org", "name": name} for name in others],
        "auth": {"type": "access_token", "accessToken": {"displayName": caller.token.name, "role": caller.token.role}},
    }


@router.post("/api/repos/create")
def create_repo(body: RepoRequest, caller: CallerOf, store: StoreOf, settings: SettingsOf) -> Response:
    """Create a repository; private unless the request says otherwise in so many words."""
    kind, namespace, name = _named(body, caller)
    is_public = body.visibility == "public" or (body.visibility is None and body.private is False)
    repo = begin_repo(store, kind, namespace, name, private=not is_public, by=caller.token)
    prefix = "" if kind == "models" else f"{kind}/"
    answer: dict[str, Any] = {"url": f"{settings.public_url}/{prefix}{namespace}/{name}", "name": f"{namespace}/{name}"}
    if repo is None:
        return JSONResponse({**answer, "error": "You already created this repo"}, status_code=409)
    return JSONResponse({**answer, "id": f"{repo.id:024x}", "private": repo.private})


@router.delete("/api/repos/delete")
def delete_repo(body: RepoRequest, caller: CallerOf, store: StoreOf) -> dict[str, Any]:
    """Remove a repository."""
    kind, namespace, name = _named(body, caller)
    with store.writing() as rows:
        repo = rows.repo(kind, namespace, name)
        if repo is None:
            raise no_such_repo(is_anonymous=False)
        if not caller.may_remove(namespace, name):
            raise Refusal(403, f"This takes a token of the role admin for {repo.full_name!r}")
        rows.delete_repo(repo)
        rows.note("hub-repo-deleted", repo, caller.token)
    return {}


@router.put("/api/{kind}/{namespace}/{name}/settings")
def change_settings(body: RepoSettings, repo: RemovableRepo, caller: CallerOf, store: StoreOf) -> dict[str, Any]:
    """Show or hide a repository."""
    private = repo.private
    if body.visibility in ("private", "public"):
        private = body.visibility == "private"
    elif body.private is not None:
        private = body.private
    with store.writing() as rows:
        rows.set_private(repo, private)
        rows.note("hub-repo-changed", repo, caller.token, visibility="private" if private else "public")
    return {"private": private, "visibility": "private" if private else "public"}


@router.post("/api/validate-yaml")
def validate_card(body: Card) -> Response:
    """Whether a card's header can be read. The client sends no token here, and reads JSON whatever the status."""
    errors = _card_errors(body.content)
    answer = {"errors": [{"message": message} for message in errors], "warnings": []}
    return JSONResponse(answer, status_code=400 if errors else 200)


@router.get("/api/{kind}/{namespace}/{name}/xet-{purpose}-token/{revision}")
def refuse_xet(kind: str, namespace: str, name: str, purpose: str, revision: str) -> Response:
    """Say how to upload here instead: the client decides for Xet by itself and does not fall back."""
    raise Refusal(404, "This Hub has no Xet storage: set HF_HUB_DISABLE_XET=1 before huggingface_hub is imported")


def _named(body: RepoRequest, caller: CallerOf) -> tuple[str, str, str]:
    """Kind, namespace and name of a repository that the caller may create or delete.

    Raises:
        Refusal: 401 without a token, 403 in a namespace where it does not write, 400 for a bad name.
    """
    if caller.token is None:
        raise Refusal(401, "A token with write access is needed")
    kind = _KIND_OF_TYPE.get(body.type or "model")
    # The client cuts the name itself; others send it whole.
    organization, _, name = ("", "", body.name) if body.organization else body.name.rpartition("/")
    namespace = body.organization or organization or caller.token.name
    try:
        check_name(name), check_name(namespace)
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    if kind is None:
        raise Refusal(400, f"type: expected 'model', 'dataset' or 'space', got {body.type!r}")
    if not caller.may_write(namespace, name):
        raise Refusal(403, f"This token may not write to {namespace!r}")
    return kind, namespace, name


def _card_errors(content: str) -> list[str]:
    header = _CARD_HEADER.match(content)
    if header is None:
        return []
    try:
        values = yaml.safe_load(header.group(1))
    except yaml.YAMLError as error:
        return [f"The header is not YAML: {error}"]
    if values is not None and not isinstance(values, dict):
        return [f"The header: expected names and values, got {type(values).__name__}"]
    return []
