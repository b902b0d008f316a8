"""Names that move: which version is in production, which may follow, which was before.

They are one small file on a branch of its own, changed by commits that name their parent: of two who change it at once
one is refused and decides again, on every Hub. All names move together, and the branch's history says who moved them
and when. Branches named after the aliases follow, so that any client can ask for the revision `production`; nothing of
ours believes them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from pydantic import Field

from projectone.contracts.base import Contract
from projectone.errors import ArtifactError, ContractError, RegistryError
from projectone.server.registry.client import set_up_client, status_of, translated
from projectone.server.registry.protocol import PublishedModel
from projectone.server.registry.reading import HubReader

Alias = Literal["production", "candidate", "previous"]
ALIASES: Final[tuple[Alias, ...]] = ("production", "candidate", "previous")
_BRANCH, _FILE = "aliases", "aliases.json"
_MAX_ATTEMPTS = 5


class AliasedModel(Contract):
    """What a name stands for. The commit is what counts."""

    version: str
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    run_id: str


class AliasTable(Contract):
    """All names at one moment; a name that stands for nothing is None."""

    schema_version: Literal[1] = 1
    production: AliasedModel | None = None
    candidate: AliasedModel | None = None
    previous: AliasedModel | None = None

    def of(self, alias: Alias) -> AliasedModel | None:
        """What a name stands for."""
        found: AliasedModel | None = getattr(self, alias)
        return found


def aliased(model: PublishedModel) -> AliasedModel:
    """A published model as a name stands for it."""
    return AliasedModel(version=model.version, commit=model.commit, run_id=model.run_id)


def nominated(table: AliasTable, model: AliasedModel) -> AliasTable:
    """`model` may become production."""
    return table if table.production == model else table.model_copy(update={"candidate": model})


def as_released(table: AliasTable, releases: Sequence[AliasedModel]) -> AliasTable:
    """The names as the releases say, oldest first; who may follow stays, unless it is released by now."""
    if not releases:
        return table
    newest, *earlier = reversed(releases)
    before = next((model for model in earlier if model.commit != newest.commit), None)
    is_out = table.candidate is not None and table.candidate.commit in {model.commit for model in releases}
    return AliasTable(production=newest, previous=before, candidate=None if is_out else table.candidate)


def without(table: AliasTable, commit: str) -> AliasTable:
    """No name stands for this commit any more."""
    gone: dict[str, None] = {
        alias: None for alias in ALIASES if (found := table.of(alias)) is not None and found.commit == commit
    }
    return table.model_copy(update=gone)


class HubAliases(HubReader):
    """The aliases of one repository."""

    def read(self) -> AliasTable:
        """What the names stand for; nothing before the first one was set.

        Raises:
            ArtifactError: if the file holds something else.
            TransportError: if the Hub could not be reached; RegistryError if it refused.
        """
        set_up_client(self.endpoint)
        with translated(f"{self.repo_id}: reading the aliases"):
            return self._read()[1]

    def move(self, change: Callable[[AliasTable], AliasTable], because: str) -> AliasTable:
        """Change the names by what they are at that moment; `change` is asked again where somebody else was first.

        Raises:
            RegistryError: if the Hub refused, or others moved them again and again.
            TransportError: if the Hub could not be reached: read them to learn whether they moved.
        """
        set_up_client(self.endpoint)
        with translated(f"{self.repo_id}: moving the aliases"):
            for _ in range(_MAX_ATTEMPTS):
                parent, table = self._read()
                wanted = change(table)
                if wanted == table:
                    return self._followed(table)
                operation = CommitOperationAdd(_FILE, wanted.to_bytes() + b"\n")
                try:
                    done = self._api.create_commit(
                        self.repo_id,
                        [operation],
                        commit_message=because,
                        revision=_BRANCH,
                        parent_commit=parent or self._begin(),
                    )
                except HfHubHTTPError as error:
                    if status_of(error) != 412:
                        raise
                    continue
                # At our own commit: others may have moved them since, which undoes nothing of ours.
                if self._read(str(done.oid))[1] != wanted:
                    raise RegistryError(f"{self.repo_id}: commit {done.oid} does not hold the aliases that were sent")
                self._followed(self._read()[1])
                return wanted
        raise RegistryError(f"{self.repo_id}: others moved the aliases {_MAX_ATTEMPTS} times; nothing was changed")

    def lagging(self, table: AliasTable) -> list[Alias]:
        """Names whose branch is not where the file says: somebody moved it, or was interrupted."""
        set_up_client(self.endpoint)
        with translated(f"{self.repo_id}: comparing the aliases"):
            branches = self._branches()
        targets = {alias: None if (model := table.of(alias)) is None else model.commit for alias in ALIASES}
        return [alias for alias in ALIASES if branches.get(alias) != targets[alias]]

    def _read(self, revision: str = _BRANCH) -> tuple[str | None, AliasTable]:
        """The head of the aliases' branch, or another commit of it, and what stands there."""
        try:
            head = str(self._api.model_info(self.repo_id, revision=revision).sha)
            with tempfile.TemporaryDirectory() as folder:
                path = self._api.hf_hub_download(self.repo_id, _FILE, revision=head, local_dir=folder)
                return head, AliasTable.from_bytes(Path(path).read_bytes())
        except (RevisionNotFoundError, RepositoryNotFoundError):
            return None, AliasTable()
        except EntryNotFoundError:
            return head, AliasTable()
        except ContractError as error:
            raise ArtifactError(f"{self.repo_id}: {_FILE} on branch {_BRANCH}: {error}") from error

    def _begin(self) -> str:
        """Begin the branch at the repository's first commit, so that it holds no model."""
        *_, first = self._api.list_repo_commits(self.repo_id)
        self._api.create_branch(self.repo_id, branch=_BRANCH, revision=first.commit_id, exist_ok=True)
        return str(first.commit_id)  # not its head: who began it at the same time may have moved it by now

    def _followed(self, table: AliasTable) -> AliasTable:
        """Let the branches follow. A branch cannot be moved in one step, so readers of it may miss it for a moment."""
        branches = self._branches()
        for alias in ALIASES:
            model = table.of(alias)
            if branches.get(alias) == (None if model is None else model.commit):
                continue
            if alias in branches:
                self._api.delete_branch(self.repo_id, branch=alias)
            if model is not None:
                self._api.create_branch(self.repo_id, branch=alias, revision=model.commit, exist_ok=True)
        return table

    def _branches(self) -> dict[str, str]:
        return {item.name: str(item.target_commit) for item in self._api.list_repo_refs(self.repo_id).branches}
