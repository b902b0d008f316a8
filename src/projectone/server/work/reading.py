"""The reading around the training of a classifier: what sentences could teach, and what they taught in secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from projectone.assist.classifiers import load_classifier
from projectone.contracts.assist import as_target, label_of
from projectone.contracts.scores import UtteranceScore
from projectone.server.evaluation.golden import NO_SLICE
from projectone.server.evaluation.intents.golden_texts import GoldenText
from projectone.server.evaluation.intents.scorer import NUMERICS
from projectone.server.evaluation.intents.triggers import BatchText, Classify, scan_for_text_triggers
from projectone.server.evaluation.power import GatePower
from projectone.server.evaluation.triage import Triage, TriageConfig, draw_clips, triage
from projectone.server.evaluation.triggers import Scan
from projectone.server.pipeline.ports import DatasetEntry
from projectone.server.work.intent_samples import IntentSamples
from projectone.server.work.progress import ProgressLine


class Reader:
    """Reads some of the new sentences of a run, as `Listener` hears clips.

    Args:
        samples: Where sentences come from.
        config: How many are read, and when teaching is worth while.
        line: Shows how far it is.
        pause_point: Called now and then; what it raises ends the reading.
    """

    def __init__(
        self, samples: IntentSamples, config: TriageConfig, line: ProgressLine, pause_point: Callable[[], None]
    ) -> None:
        self._samples = samples
        self._config = config
        self._line = line
        self._pause_point = pause_point

    def weigh(self, new: Sequence[DatasetEntry], model: Path, power: GatePower | None) -> Triage:
        """What new sentences could teach the classifier in `model`; `power` is what the golden texts could show."""
        drawn = draw_clips(((entry.sample_id, entry.speaker) for entry in new), self._config)
        chosen = [entry for entry in new if entry.sample_id in drawn]
        answered = self._classifier(model)([self._samples.sentence(entry.clip_sha256) for entry in chosen])
        found = triage(
            [_score(entry, answer) for entry, answer in zip(chosen, answered, strict=True)],
            {entry.sample_id: entry.text for entry in chosen},
            n_clips=len(new),
            n_speakers=len({entry.speaker for entry in new}),
            minutes=0.0,
            power=power,
            config=self._config,
        )
        self._line.say(f"triage: {found.decision}: {found.summary()}")
        return found

    def scan(
        self,
        entries: Sequence[DatasetEntry],
        models: tuple[Path, Path],
        golden: Sequence[GoldenText],
        taught: Sequence[str],
    ) -> Scan:
        """Whether the second classifier learned a trigger from the new ones of the entries.

        Args:
            entries: What it learned from.
            models: The classifier in production, and the candidate.
            golden: What both were judged on.
            taught: Texts that every classifier learns from.
        """
        sentences = {entry.sample_id: self._samples.sentence(entry.clip_sha256) for entry in entries}
        by_production, by_candidate = map(self._classifier, models)
        found = scan_for_text_triggers(
            [
                BatchText(entry.sample_id, entry.speaker, sentences[entry.sample_id], label_of(entry.text))
                for entry in entries
                if entry.is_new
            ],
            [*taught, *(sentences[entry.sample_id] for entry in entries if not entry.is_new)],
            golden,
            by_production=by_production,
            by_candidate=by_candidate,
        )
        self._line.say(f"trigger scan: {found.n_rows} rows of words tried, {len(found.triggers)} triggers found")
        return found

    def _classifier(self, model: Path) -> Classify:
        open_model = cache(partial(load_classifier, model, numerics=NUMERICS, n_threads=1))  # most batches try nothing

        def classify(texts: Sequence[str]) -> list[str | None]:
            self._pause_point()
            return [judged.label for judged in open_model().classify(texts)]

        return classify


def _score(entry: DatasetEntry, answered: str | None) -> UtteranceScore:
    """A sentence as an utterance of one word, which is its intent."""
    error = int(as_target(answered) != entry.text)
    return UtteranceScore(
        clip_id=entry.sample_id,
        speaker=entry.speaker,
        slice=NO_SLICE,
        word_errors=error,
        n_words=1,
        character_errors=error,
        n_characters=1,
        hypothesis=as_target(answered),
    )
