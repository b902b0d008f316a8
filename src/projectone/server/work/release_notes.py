"""What is new in a release: the figures of its run that anybody may know."""

from __future__ import annotations

from projectone.contracts.releases import ReleaseManifest, ReleaseNotes
from projectone.contracts.scores import EvaluationReport
from projectone.server.pipeline.ports import Deployment


def notes_of(deployment: Deployment, before: ReleaseManifest | None) -> ReleaseNotes | None:
    """The notes of a release; None for a model that was not scored.

    No person, no text and no name of a slice is in them: they go to every device, and whoever asks.

    Args:
        deployment: The model that goes out.
        before: The release that devices have until then; None if there is none.
    """
    if deployment.report is None:
        return None
    n_words, n_wrong = _counted(deployment.report)
    if n_words == 0:
        return None
    production = deployment.production_report
    is_compared = (
        production is not None
        and before is not None
        and before.weights_sha256 == production.model_sha256
        and production.dataset_sha256 == deployment.report.dataset_sha256
    )
    return ReleaseNotes(
        after=before.version if is_compared and before is not None else None,
        n_samples=deployment.n_clips,
        n_new_samples=deployment.n_new_clips,
        audio_s=round(deployment.audio_s, 1),
        n_words=n_words,
        n_wrong=n_wrong,
        n_wrong_before=_counted(production)[1] if is_compared and production is not None else None,
    )


def _counted(report: EvaluationReport) -> tuple[int, int]:
    """Words of the speech that models are trained for, and how many of them are wrong."""
    target = [one for one in report.utterances if one.domain == "target"]
    return sum(one.n_words for one in target), sum(one.word_errors for one in target)
