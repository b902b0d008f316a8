"""Corrected intents as a training run sees them: sentences in the place of clips, labels in the place of texts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from projectone.contracts.assist import label_of
from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.caps import CapLimits
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.duplicates import Copy
from projectone.server.corpus.utterances import cap_intents, check_utterance, disputed, said_in, same_sentences
from projectone.server.corpus.validation import Findings
from projectone.server.evaluation.intents.golden_texts import words_digest
from projectone.server.pipeline.ports import Look, PipelineSample
from projectone.server.training.classifiers import Example
from projectone.server.work.copies import CopyFinder
from projectone.server.work.samples import RunSamples
from projectone.storage.blobs import BlobStore


class IntentSamples(RunSamples):
    """What a run of classifiers sees of the corpus.

    Args:
        labels: The labels that this server teaches.
        known: As of `RunSamples`.
    """

    def __init__(self, *, labels: Callable[[], Collection[str]], **known: Any) -> None:  # noqa: ANN401 - RunSamples'
        super().__init__(**known)
        self._labels = labels

    def look(self, samples: Sequence[PipelineSample]) -> Iterator[Look]:
        """What speaks against each of them, in their order, and what its sentence says, as a digest.

        Where people disagree about a sentence it is asked of all samples, learned from or not, who says what.
        """
        labels = frozenset(self._labels())
        doubts = disputed(*self.readable(self.usable())) if samples else {}
        for sample in samples:
            try:
                sentence = self.sentence(sample.clip_sha256)
            except (DataError, DigestMismatchError) as error:
                yield Look(Findings(error.reason if isinstance(error, DataError) else "clip-damaged"))
                continue
            found = check_utterance(
                sentence,
                sample.text,
                labels=labels,
                language=sample.language,
                guess=sample.heard,
                holds_personal=self._holds_personal,
            )
            doubt = doubts.get(sample.sample_id)
            if found.discard is None and doubt is not None:
                found = replace(found, hold=(*found.hold, doubt))
            yield Look(found, words_digest(sentence))

    def sentence(self, clip_sha256: str) -> str:
        """The sentence of a sample; see `read_clip` for what it raises."""
        return read_sentence(self._catalog, self._blobs, clip_sha256)

    def readable(self, samples: Sequence[PipelineSample]) -> tuple[list[PipelineSample], list[str]]:
        """Those of the samples whose sentences can be read, and these."""
        found: list[tuple[PipelineSample, str]] = []
        for sample in samples:
            try:
                found.append((sample, self.sentence(sample.clip_sha256)))
            except (DataError, DigestMismatchError):  # said where the sample itself is looked at
                continue
        return [sample for sample, _ in found], [sentence for _, sentence in found]

    def cap(
        self, new: Sequence[PipelineSample], earlier: Sequence[PipelineSample], limits: CapLimits
    ) -> list[PipelineSample]:
        """The new samples that a run may learn from."""
        new, said = self.readable(new)
        earlier, said_before = self.readable(earlier)
        pairs = zip((*new, *earlier), (*said, *said_before), strict=True)
        return cap_intents(new, earlier, {sample.sample_id: sentence for sample, sentence in pairs}, limits)

    def examples(self, entries: Sequence[tuple[str, str]]) -> list[Example]:
        """Sentences with their labels, of pairs of a digest and a target."""
        return [(self.sentence(clip_sha256), label_of(target)) for clip_sha256, target in entries]


def read_sentence(catalog: Catalog, blobs: BlobStore, clip_sha256: str) -> str:
    """The sentence that a sample holds; see `read_clip` for what it raises."""
    return read_clip(catalog, blobs, clip_sha256).decode()


class SameSentences(CopyFinder):
    """Finds copies among sentences by their words.

    Args:
        readable: Samples to those that can be read, and their sentences.
        read_golden: The golden texts.
    """

    def __init__(
        self,
        readable: Callable[[Sequence[PipelineSample]], tuple[list[PipelineSample], list[str]]],
        read_golden: Callable[[], Sequence[str]],
    ) -> None:
        self._readable = readable
        self._golden_texts = read_golden

    def copies(
        self, samples: Sequence[PipelineSample], pause_point: Callable[[], None] = lambda: None
    ) -> dict[str, Copy]:
        """Samples that say what another of them says, and that one, by id."""
        return same_sentences(*self._readable(samples))

    def near_golden(
        self, samples: Sequence[PipelineSample], pause_point: Callable[[], None] = lambda: None
    ) -> frozenset[str]:
        """Ids of samples that say what a golden text says."""
        return said_in(*self._readable(samples), self._golden_texts())

    def forget_others(self, clip_sha256s: Collection[str]) -> None:
        """Nothing is remembered."""
