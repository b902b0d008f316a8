"""All that is known about one sample, its clip measured again, so that a person can audit what was decided."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from projectone.contracts.texts import clean_transcript, printable
from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip, read_sentence
from projectone.server.corpus.golden_set import GOLDEN, SET_ASIDE
from projectone.server.corpus.history import Histories, History, KnownSample
from projectone.server.corpus.labels import Labels
from projectone.server.corpus.quarantined import RETURNED
from projectone.server.corpus.review import ACCEPTED, SURPRISE, Checks
from projectone.server.corpus.utterances import check_utterance
from projectone.server.corpus.validation import EXPLAINED, Findings, check_sample
from projectone.server.database import Engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.runs import RunRow, Runs
from projectone.server.voices.installed import Networks, open_networks
from projectone.server.work.look import hold_second_voice
from projectone.storage.blobs import FileBlobs
from projectone.waveform.wav import parse_wav

ClipState = Literal["whole", "damaged", "missing", "erased"]
Samples = npt.NDArray[np.float32]
_COMPARED = {"second_voice", "speaker_change"}
"""Figures of which a clip has one if somebody looked for a second voice in it."""


@dataclass(frozen=True)
class Dossier:
    """The same, for a program and for a person."""

    facts: dict[str, Any]
    text: str


class Dossiers:
    """Puts dossiers together from rows and clips; changes nothing.

    Args:
        engine: The rows.
        catalog: Opens texts.
        blobs: The clips.
        hold_speakers: The setting: whether a second voice is looked for in a clip.
    """

    def __init__(self, engine: Engine, catalog: Catalog, blobs: FileBlobs, *, hold_speakers: str) -> None:
        self._histories = Histories(engine, catalog.vault)
        self._catalog = catalog
        self._labels = Labels(engine)
        self._runs = Runs(engine)
        self._releases = Ledger(engine).releases()
        self._blobs = blobs
        self._hold_speakers = hold_speakers

    def open(self, named: str) -> Dossier:
        """The dossier of one sample.

        Raises:
            DataError: ``sample-unknown`` unless exactly one id begins with `named`.
        """
        history = self._histories.tell(named)
        sample = history.sample
        clip_state, payload = self._read(sample)
        today = self._look_again(sample, clip_state, payload)
        runs = self._runs.made_from(history.dataset_sha256s)
        facts = _plain(history) | {
            "explanation": explain(sample),
            "sentence": payload if isinstance(payload, str) else None,
            "changed_words": None
            if sample.heard is None or sample.text is None or sample.kind == "intent"
            else changes(sample.heard, sample.text),
            "clip": {
                "state": clip_state,
                "path": None if sample.clip_sha256 is None else str(self._blobs.path_of(sample.clip_sha256)),
            },
            "checks": asdict(Checks.read(sample.checks)),
            "measured": dict(today.measures) or None,
            "reason_today": today.discard,
            "held_today": list(today.hold),
            "voices_compared": sample.kind != "intent" and not _COMPARED.isdisjoint(today.measures),
            "runs": [self._run_facts(run) for run in runs],
        }
        return Dossier(facts, _write(facts))

    def _read(self, sample: KnownSample) -> tuple[ClipState, Samples | str | None]:
        if sample.clip_sha256 is None:
            return "erased", None
        try:
            if sample.kind == "intent":
                return "whole", read_sentence(self._catalog, self._blobs, sample.clip_sha256)
            return "whole", parse_wav(read_clip(self._catalog, self._blobs, sample.clip_sha256)).samples[:, 0]
        except DataError as error:
            return ("damaged" if error.reason == "clip-damaged" else "missing"), None

    def _look_again(self, sample: KnownSample, clip_state: ClipState, payload: Samples | str | None) -> Findings:
        """What would be found about it now."""
        if payload is None or sample.text is None:
            return Findings({"erased": "erased"}.get(clip_state, f"clip-{clip_state}"))
        if not isinstance(payload, str):
            return _listen_again(sample, sample.text, payload, self._hold_speakers)
        labels, language = self._labels.all(), sample.language
        return check_utterance(payload, sample.text, labels=labels, language=language, guess=sample.heard)

    def _run_facts(self, run: RunRow) -> dict[str, Any]:
        weights = {release.run_id: release.manifest.weights_sha256 for release in self._releases}
        return {
            "run_id": run.run_id,
            "state": run.state,
            "dataset_sha256": run.dataset_sha256,
            "model_sha256": run.candidate_sha256,
            "released_version": run.version if run.run_id in weights else None,
        }


def explain(sample: KnownSample) -> str:
    """Why a sample is in the state it is in, in words."""
    if sample.state == "erased":
        return "its consent was withdrawn; what was sent is erased, and the id is not used again"
    if sample.state == "discarded":
        reason = sample.reason or "unknown"
        return f"{reason}: {EXPLAINED.get(reason, 'see the log of its run')}"
    if sample.state == "held" and sample.reason in SET_ASIDE:
        who = "it" if sample.reason == GOLDEN else "its person"
        return f"{sample.reason}: {who} is in the golden set, on which models are judged; nothing is trained on it"
    if sample.state == "held":
        reasons = Checks.read(sample.checks).held
        return "; ".join(f"{reason}: {EXPLAINED.get(reason, 'see the log of its run')}" for reason in reasons)
    if sample.state == "quarantined":
        return f"set aside with run {sample.run_id}: {sample.reason}; `projectone-server quarantine show` tells more"
    if sample.state == "used":
        return f"a released model learned from it, first in run {sample.run_id}"
    waits = {
        RETURNED: "an operator returned it; the next run looks at it",
        ACCEPTED: "a person accepted it after review",
    }
    return waits.get(sample.reason or "", "no run took it yet")


def changes(heard: str, said: str) -> list[dict[str, str]]:
    """What a person changed in what the model had heard, as runs of words; one side of a change may be empty."""
    before, after = heard.split(), said.split()
    codes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [
        {"heard": " ".join(before[i:j]), "said": " ".join(after[k:m])} for tag, i, j, k, m in codes if tag != "equal"
    ]


def _plain(history: History) -> dict[str, Any]:
    sample = asdict(history.sample)
    return {
        **sample,
        "sample_id": str(sample["sample_id"]),
        "recorded_at": sample["recorded_at"].isoformat(),
        "received_at": sample["received_at"].isoformat(),
        "consent": history.consent.model_dump(mode="json"),
        "dataset_sha256s": list(history.dataset_sha256s),
        "original_id": None if history.original_id is None else str(history.original_id),
    }


def _listen_again(sample: KnownSample, text: str, samples: Samples, hold_speakers: str) -> Findings:
    """As a run looks at a clip."""
    try:
        clean_transcript(text)
    except DataError as error:
        return Findings(error.reason, measures=check_sample(samples, text).measures)
    networks = None if hold_speakers == "off" else _networks()
    is_by_colour = hold_speakers == "on" and networks is None
    found = check_sample(samples, text, language=sample.language, heard=sample.heard, holds_speakers=is_by_colour)
    return found if networks is None or found.discard is not None else hold_second_voice(found, samples, networks)


def _networks() -> Networks | None:
    """None also for weights that are not the right ones: what else is known of a sample is shown all the same."""
    try:
        return open_networks()
    except DigestMismatchError:
        return None


def _write(facts: dict[str, Any]) -> str:
    consent, clip, measured = facts["consent"], facts["clip"], facts["measured"]
    withdrawn = "in force" if consent["withdrawn_at"] is None else f"withdrawn {_minute(consent['withdrawn_at'])}"
    about = [facts["kind"], facts["language"], facts["accent"], facts["script_id"] and f"script {facts['script_id']}"]
    lines = [
        f"sample    {facts['sample_id']} ({facts['state']})",
        f"because   {facts['explanation']}",
        *([] if facts["original_id"] is None else [f"copy of   {facts['original_id']}"]),
        f"person    {facts['contributor_id']}  {', '.join(filter(None, about))}",
        f"came      {_minute(facts['received_at'])}, recorded {_minute(facts['recorded_at'])}",
        f"consent   {consent['scope']}, words of version {consent['text_version']}, given "
        f"{_minute(consent['granted_at'])} ({consent['method']}), {withdrawn}",
    ]
    if facts["sentence"] is not None:
        lines.append(f"sentence  {facts['sentence']}")
    said, heard = ("means", "guessed") if facts["kind"] == "intent" else ("said", "heard")
    if facts["text"] is not None:
        lines.append(f"{said:9} {facts['text']}")
    if facts["heard"] is not None:
        by = f" (model {facts['heard_by']})" if facts["heard_by"] else ""
        lines.append(f"{heard:9} {facts['heard']}{by}")
        lines += [f"changed   {item['heard'] or '-'} -> {item['said'] or '-'}" for item in facts["changed_words"] or []]
    length = "" if facts["kind"] == "intent" else f", {facts['duration_s']:.2f} s"
    lines.append(f"clip      {clip['state']}{length}" + (f"  {clip['path']}" if clip["path"] else ""))
    if measured is not None and "peak_db" in measured:
        frames = f" (voice and colour in {measured['n_frames']:.0f} frames)" if "n_frames" in measured else ""
        lines.append(
            f"measured  peak {measured['peak_db']:.1f} dB, level {measured['level_db']:.1f} dB, "
            f"offset {measured['dc_offset']:.3f}, clipped {measured['clipped_share']:.1%}, "
            f"spread {measured['spread_db']:.1f} dB, loud for {measured['speech_s']:.2f} s, "
            f"noise {measured['snr_db']:.0f} dB below, pitch {measured['voicing']:.2f}, "
            f"colour moves {measured['movement_db']:.1f} dB, voice in {measured['speech_ratio']:.0%}, "
            f"{measured['characters_per_s']:.1f} characters/s{frames}"
        )
        if "edit_share" in measured:
            lines.append(
                f"edits     {measured['edit_share']:.0%} of the words in {measured['edit_places']:.0f} places, "
                f"over {measured['edit_span']:.0%} of the text"
            )
    if SURPRISE in facts["checks"]["measures"]:
        scored = facts["checks"]["measures"]
        lines.append(
            f"base      finds the text {abs(scored[SURPRISE]):.2f} nats per token "
            f"{'less' if scored[SURPRISE] > 0 else 'more'} likely than what was heard ({scored['said_nats']:.2f})"
        )
    today = facts["reason_today"]
    if facts["state"] != "erased":
        odd = f"would be held: {', '.join(facts['held_today'])}" if facts["held_today"] else "would be let through"
        # A clip that is held for a second voice is not cleared by a look that did not listen for one.
        unheard = "" if facts["kind"] == "intent" or facts["voices_compared"] else "; voices were not compared"
        lines.append(f"today     {odd + unheard if today is None else f'would be discarded: {today}'}")
    for review in facts["checks"]["reviews"]:
        why = f": {review['why']}" if review["why"] else ""
        doubts = ", ".join(review["reasons"])
        lines.append(
            f"review    {review['decision']} {_minute(review['decided_at'])} by {review['decided_by']}{why} ({doubts})"
        )
    for run in facts["runs"]:
        released = f", released as {run['released_version']}" if run["released_version"] else ""
        lines.append(f"used in   run {run['run_id']} ({run['state']}{released})")
    return "\n".join(map(printable, lines))


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
