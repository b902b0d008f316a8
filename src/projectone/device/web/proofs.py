"""What the server signed, checked here: what it erased after a withdrawal, and which models learned from a sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.contracts.erasures import ErasureReceipt, LearnedRelease
from projectone.contracts.uses import ModelUse
from projectone.device.rooms import LearnedFrom
from projectone.device.web.answers import job_answer, json_answer
from projectone.device.web.context import WebContext
from projectone.device.web.jobs import Report


def routes(context: WebContext) -> list[Route]:
    """GET the receipts that are here; POST asks the server: for them again, or which models learned from a sample."""
    client = context.client

    def erasures(request: Request) -> Response:
        return json_answer({"erasures": [receipt.model_dump(mode="json") for receipt in client.erasures()]})

    def ask_again(request: Request) -> Response:
        def ask(report: Report) -> Mapping[str, Any]:
            return {"n": len(client.erasures(is_again=True))}

        return job_answer(context.jobs.start("erasures", ask))

    def uses(request: Request) -> Response:
        named = str(request.path_params["sample_id"])

        def ask(report: Report) -> Mapping[str, Any]:
            _, found = client.uses(named)
            return uses_document(found)

        return job_answer(context.jobs.start(f"uses-{named}", ask))

    return [
        Route("/api/erasures", erasures),
        Route("/api/erasures", ask_again, methods=["POST"]),
        Route("/api/sent/{sample_id}/uses", uses, methods=["POST"]),
    ]


def uses_document(found: LearnedFrom) -> dict[str, Any]:
    """Which models learned from a sample, in words, each as its proof shows."""
    uses, learned = found
    return {
        "sample_id": str(uses.sample_id),
        "issued_at": uses.issued_at.isoformat(),
        "models": [
            {"version": model.version, "has_learned": has_learned, "words": _words_of(model, has_learned)}
            for model, has_learned in zip(uses.models, learned, strict=True)
        ],
        "n_unnamed": uses.n_releases - len(uses.models),
    }


def _words_of(model: ModelUse, has_learned: bool | None) -> str:
    if model.proof is None:
        return "from before there were proofs" if has_learned is None else "learned from nobody's recordings"
    return "learned from it, as its proof shows" if has_learned else "did not learn from it, as its proof shows"


def erasure_lines(receipt: ErasureReceipt) -> list[str]:
    """What a receipt says, a sentence each."""
    n = receipt.n_samples
    lines = [f"{n} recording{'s' if n != 1 else ''} with {'their' if n != 1 else 'its'} words erased."]
    if receipt.dataset_sha256s:
        n_sets = len(receipt.dataset_sha256s)
        lines.append(
            f"{n_sets} training set{'s' if n_sets != 1 else ''} had named them; they are sealed again without."
        )
    if receipt.n_memories:
        what = "memory" if receipt.n_memories == 1 else "memories"
        lines.append(f"{receipt.n_memories} {what} that products had kept of you on the server erased.")
    if not receipt.is_complete:
        lines.append("A training run still holds some. It ends without a model; ask again later.")
    for release in receipt.releases:
        lines.append(f"Model {release.version} had learned from them. {_replaced(release)}")
    if not receipt.releases:
        lines.append("No model that was released had learned from them.")
    return lines


def _replaced(release: LearnedRelease) -> str:
    if release.replaced_by is not None:
        return f"Model {release.replaced_by}, which did not, took its place."
    if release.replace_by is not None:
        return f"One that did not takes its place by {release.replace_by.astimezone():%d %B %Y}."
    return "Nothing has taken its place yet."
