"""Can the model be used at all? Looked at in its files, before it was asked to hear anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult
from projectone.server.evaluation.checks.protocol import Evidence, not_judged, objection, passed


@dataclass(frozen=True, kw_only=True)
class Files:
    """Every number of every tensor is finite, and the files fit together. A defect brings a code of its own."""

    name: str = "files"

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        if not evidence.candidate.defects:
            return [passed(self, "the model can be loaded, every number in it is finite")]
        return [
            CheckResult(check=self.name, outcome="reject", code=defect.code, reason=defect.reason)
            for defect in evidence.candidate.defects
        ]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Each token id stands for what it stands for in production: devices keep the tokenizer that they have loaded."""

    name: str = "vocabulary"

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        before, after = evidence.production.vocabulary_sha256, evidence.candidate.vocabulary_sha256
        if before is None or after is None:
            return [not_judged(self, "a report does not name its vocabulary")]
        if before != after:
            reason = f"the vocabulary is another one: {before[:12]} in production, {after[:12]} in the candidate"
            return [objection(self, "reject", "wrong-vocabulary", reason)]
        return [passed(self, f"the vocabulary is production's ({after[:12]})")]
