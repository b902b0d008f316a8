"""The whole loop, act by act: real processes, real devices, real training; what happened ends in a `Story`."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from projectone.demo.backend import Backend, BackendError, tail
from projectone.demo.materials import Person, Spoken
from projectone.demo.meanings import play_meanings
from projectone.demo.people import Participant, Server
from projectone.demo.poison import joined, poison
from projectone.demo.screen import Screen
from projectone.demo.search import Found, Traces, opened_samples, search_backend
from projectone.demo.stage import FIRST_VERSION, DemoOptions, Stage, backend_for, gather, start
from projectone.demo.story import Story, TrainingRun, Withheld
from projectone.demo.telling import Facts, describe_run, percent, progress_line, tell
from projectone.server.evaluation.scorer import word_score

_DEVICES_AT_A_TIME = min(4, os.cpu_count() or 1)
# Of one contributor the trainer takes at most this many new samples for a run.
_MOST_PER_NEWCOMER = 100
# With twice as many wrong ones as right ones, training learns what is wrong, and the gate has something to judge.
_FEWEST_POISONED, _POISON_RATIO = 60, 2.0

T = TypeVar("T")


def run_demo(options: DemoOptions, screen: Screen) -> Story:
    """Play the whole story; every process is ended when this returns or raises.

    Raises:
        BackendError: if a process of the backend failed.
        ProjectOneError: if the corpus, the disk or a device refused.
    """
    with ExitStack() as stack:
        return _Demo(options, screen, stack).play()


class _Demo:
    def __init__(self, options: DemoOptions, screen: Screen, stack: ExitStack) -> None:
        self._options = options
        self._screen = screen
        self._stack = stack
        self._is_over = threading.Event()
        self._people: list[Participant] = []
        self._stage: Stage
        self._backend: Backend
        self._server: Server

    def play(self) -> Story:
        screen = self._screen
        with screen.act("People, and what they say"):
            self._stage = gather(self._options, screen)
        with screen.act("A private backend on this machine"):
            self._backend = self._stack.enter_context(backend_for(self._options, self._stage))
            self._server, first = start(self._backend, self._options.model, screen)
        with screen.act(f"Everyone talks to version {FIRST_VERSION}"):
            self._talk()
        with screen.act("Corrections, from all but one"):
            self._send()
        with screen.act("The trainer learns and judges"):
            learning = self._train()
            learned = self._backend.production()
            self._announce(learning, learned.version)
        with screen.act("The devices swap models under load"):
            self._update()
        with screen.act("What people mean"):
            meaning = play_meanings(
                self._backend, self._people, out=self._options.out, seed=self._options.seed, screen=screen
            )
        with screen.act("Wrong corrections arrive"):
            poisoned, n_poisoned = self._poison()
        with screen.act("What is known of who said no"):
            withheld = self._search()
        return tell(
            Facts(
                corpus=self._options.corpus_name,
                seed=self._options.seed,
                model=self._options.model,
                out=self._options.out,
                wall_s=screen.elapsed_s,
                acts=tuple(screen.acts),
                people=self._people,
                first_version=FIRST_VERSION,
                first_sha256=first,
                learning=learning,
                learned=learned,
                poisoned=poisoned,
                n_poisoned=n_poisoned,
                production=self._backend.production(),
                withheld=withheld,
                taken=self._stage.taken,
                golden_from=self._stage.golden_from,
                meaning=meaning,
            ),
            self._backend,
        )

    # The acts.

    def _talk(self) -> None:
        screen = self._screen
        for number, person in enumerate(self._stage.materials.people, start=1):
            self._people.append(self._enter(person, f"device-{number}"))
        n_all = sum(len(person.to_correct) + len(person.kept_back) for person in self._stage.materials.people)
        self._record(self._people, n_all)
        screen.table(
            ("person", "model", "recorded", "needed correction", "word errors, never uploaded"),
            [
                (
                    who.person.name,
                    who.client.status().model_version,
                    who.n_recorded + len(who.kept_back),
                    who.n_corrected,
                    percent(word_score(who.before)),
                )
                for who in self._people
            ],
        )

    def _send(self) -> None:
        screen = self._screen
        self._each(self._people, self._grant_and_sync)
        screen.table(
            ("person", "consented", "sent", "recordings that stay on the device"),
            [
                (
                    who.person.name,
                    "yes" if who.person.has_consented else "no",
                    who.n_sent,
                    who.client.status().recordings - who.n_sent,
                )
                for who in self._people
            ],
        )
        samples = self._backend.command("status")["samples"]
        screen.good(f"{samples['waiting']} corrections wait at the server")

    def _train(self) -> TrainingRun:
        """Ask for a run and follow it to its end."""
        screen = self._screen
        run = self._backend.command("run")["run"]
        row = self._backend.follow(run["run_id"], lambda row: screen.live(progress_line(row)))
        if row.state == "failed":
            raise BackendError(f"run {row.run_id} failed: {row.reason}\n{tail(self._backend.logs['worker'])}")
        learned = describe_run(row, self._backend)
        counts = f"{learned.n_clips} clips, {learned.audio_s:.0f} s of speech"
        if learned.discarded:
            counts += ", discarded " + ", ".join(f"{n} ({reason})" for reason, n in learned.discarded.items())
        screen.say(f"run {row.run_id}: {counts}")
        for reason in learned.verdict.reasons if learned.verdict else ():
            screen.say(f"  {reason}")
        return learned

    def _announce(self, learning: TrainingRun, version: str) -> None:
        if learning.status == "deployed":
            commit = self._backend.hub_tags()[f"v{version}"]
            self._screen.good(
                f"version {version} is deployed: commit {commit[:12]}, tag v{version} on the Hub, released"
            )
        else:
            self._screen.bad(f"no better model came out of it ({learning.status}): production stays {version}")

    def _update(self) -> None:
        screen = self._screen
        n_all = sum(len(who.kept_back) for who in self._people)
        progress = self._counter(n_all, "recordings that never left their device, once more")

        def bring(who: Participant) -> tuple[object, ...]:
            report, n_answered = who.update_under_load()
            who.listen_again(progress)
            swap = f"{report.from_version} → {report.to_version}" if report.status == "updated" else report.status
            before, after = word_score(who.before), word_score(who.after)
            return who.person.name, swap, n_answered, percent(before), percent(after)

        rows = self._each(self._people, bring)
        screen.table(("person", "model", "answers while it changed", "before", "after"), rows)
        before = word_score([score for who in self._people for score in who.before])
        after = word_score([score for who in self._people for score in who.after])
        screen.say(f"over all recordings that were never uploaded: {percent(before)} → {percent(after)}")

    def _poison(self) -> tuple[TrainingRun, int]:
        """A batch of wrong corrections from newcomers; gives its run and how many arrived."""
        screen = self._screen
        n_honest = sum(who.n_sent for who in self._people)
        n_wanted = min(self._options.size.poisoned, max(_FEWEST_POISONED, round(_POISON_RATIO * n_honest)))
        sounds = list(self._stage.materials.spare)
        if len(sounds) < n_wanted:
            sent = [spoken for who in self._people if who.person.has_consented for spoken in who.person.to_correct]
            sounds += joined(sent, math.ceil((n_wanted - len(sounds)) / 2))  # each as long as two
        wrong = poison(sounds, n=n_wanted, seed=self._options.seed)
        n_newcomers = math.ceil(len(wrong) / _MOST_PER_NEWCOMER)
        newcomers = [
            self._enter(_newcomer(number, wrong[number::n_newcomers]), f"newcomer-{number + 1}")
            for number in range(n_newcomers)
        ]
        self._record(newcomers, len(wrong))
        really = {spoken.clip_id: spoken.text for spoken in sounds}
        screen.table(("really said", "their correction"), [(really[s.clip_id], s.text) for s in wrong[:3]])
        self._each(newcomers, self._grant_and_sync)
        n_poisoned = sum(who.n_sent for who in newcomers)
        screen.say(f"{n_poisoned} of them arrived from {len(newcomers)} new devices")
        before = self._backend.production()
        run = self._train()
        after = self._backend.production()
        if run.status == "quarantined" and after == before:
            screen.good(f"quarantined; production stays {after.version}, weights {after.weights_sha256[:12]} as before")
            screen.say(f"a human was told: {run.notification}")
        else:
            screen.bad(f"the batch ended as {run.status!r}: production was {before.version}, is {after.version}")
        for who in self._people:
            who.client.update()
        in_use = sorted({who.client.status().model_version or "none" for who in self._people})
        screen.say(f"every device asked again and uses {', '.join(in_use)}")
        return run, n_poisoned

    def _search(self) -> Withheld:
        """Look for the withheld user in all that the backend keeps, and for another one to see that one would find."""
        screen = self._screen
        silent = next(who for who in self._people if not who.person.has_consented)
        open_one = next(who for who in self._people if who.person.has_consented)
        nothing, control = self._traces(silent), self._traces(open_one)
        screen.table(
            (
                "person",
                "consented",
                "rows about them",
                "files with a trace",
                "of files",
                "opened samples",
                "of samples",
            ),
            [
                (
                    who.person.name,
                    word,
                    found.n_rows,
                    len(found.files),
                    found.n_files,
                    len(found.opened),
                    found.n_opened,
                )
                for who, word, found in ((open_one, "yes", control), (silent, "no", nothing))
            ],
        )
        if nothing.n_rows + nothing.n_hits:
            screen.bad(f"traces of {silent.person.name}: {[*nothing.rows, *nothing.files, *nothing.opened][:3]}")
        else:
            version = silent.client.status().model_version
            screen.good(
                f"nothing of {silent.person.name}: no name, no digest, no sound. They use {version} all the same."
            )
        if not control.n_rows or not control.files or not control.opened:
            raise BackendError("the search found nothing of a person who did consent: it proves nothing")
        if lying_open := [name for name in control.sounding if name.startswith("server/")]:
            raise BackendError(f"the sound of {open_one.person.name} lies open in {', '.join(lying_open[:3])}")
        screen.good(
            f"of {open_one.person.name}, who consented, the sound lies sealed: no file has it, the worker opens it"
        )
        return Withheld(
            user=silent.person.name,
            n_rows=nothing.n_rows,
            n_hits=nothing.n_hits,
            n_files_searched=nothing.n_files,
            n_bytes_searched=nothing.n_bytes,
            n_samples_opened=nothing.n_opened,
        )

    # What the acts are made of.

    def _enter(self, person: Person, name: str) -> Participant:
        who = Participant.open(person, self._options.out / "devices" / name, self._server)
        self._stack.callback(who.client.close)
        report = who.client.update()
        if report.status != "updated":
            raise BackendError(f"{person.name}: expected a first model, got {report.status}: {report.reason}")
        return who

    def _record(self, people: Sequence[Participant], n_all: int) -> None:
        progress = self._counter(n_all, "recordings transcribed on their devices")
        self._each(people, lambda who: who.record(progress))

    def _counter(self, n_all: int, what: str) -> Callable[[], None]:
        """A function that counts its calls on the live line, from any thread."""
        n_done = 0
        lock = threading.Lock()

        def count() -> None:
            nonlocal n_done
            if self._is_over.is_set():
                raise InterruptedError("the demo is ending")
            with lock:
                n_done += 1
                self._screen.live(f"{n_done} of {n_all} {what}", is_last=n_done == n_all)

        return count

    def _grant_and_sync(self, who: Participant) -> None:
        if who.person.has_consented:
            who.grant()
        self._screen.live(f"{who.person.name} is sending")
        who.sync()

    def _each(self, people: Sequence[Participant], do: Callable[[Participant], T]) -> list[T]:
        """Several people at a time: one device alone does not use every core."""
        with ThreadPoolExecutor(_DEVICES_AT_A_TIME) as pool:
            try:
                return list(pool.map(do, people))
            except BaseException:
                self._is_over.set()  # those still at it stop at their next recording
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _traces(self, who: Participant) -> Found:
        wavs = [spoken.wav for spoken in (*who.person.to_correct, *who.person.kept_back)]
        traces = Traces.of(who.ids, wavs, who.audio_sha256s)
        folders = [self._options.out / name for name in ("server", "golden", "logs")]
        settings = self._backend.settings
        return search_backend(folders, settings.database_url, traces, opened_samples(settings))


def _newcomer(number: int, recordings: Sequence[Spoken]) -> Person:
    return Person(
        name=f"newcomer {number + 1}",
        accent=None,
        has_consented=True,
        to_correct=tuple(recordings),
        kept_back=(),
    )
