"""What stands before the first act: the recordings, the golden set, and a backend with version 1.0.0."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from projectone.demo.backend import Backend
from projectone.demo.materials import Materials, load_materials, write_golden
from projectone.demo.meanings import intent_settings
from projectone.demo.people import Server
from projectone.demo.plan import Size, plan_demo
from projectone.demo.screen import Screen
from projectone.demo.synthetic import CORPUS_NAME, write_synthetic_corpus
from projectone.demo.telling import percent
from projectone.server.corpus.manifests import ManifestRow, read_manifest
from projectone.server.work.clips import open_decoder

FIRST_VERSION = "1.0.0"
# The runs end within minutes on two cores, however many corrections there are.
TRAINING = {"MAX_STEPS": "110"}
_GOLDEN_FROM = {"split": "the corpus's own split", "speakers": "who are no users", "users": "lent by users"}


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What a run of the demo is given.

    Attributes:
        corpus: Folder with a `manifest.jsonl`; None makes synthetic voices.
        out: Empty folder for everything.
        model: Version 1.0.0: ``starter``, or a folder in the Hub's layout.
        seed: Decides who is who.
        environment: That of the backend's processes.
        training: Settings of the trainer, by their `PROJECTONE_SERVER_TRAINING_*` names without that prefix.
        settings: Further settings of the server, by their `PROJECTONE_SERVER_*` names without that prefix.
    """

    corpus: Path | None
    out: Path
    environment: Mapping[str, str]
    model: str = "starter"
    seed: int = 1
    size: Size = field(default_factory=Size)
    training: Mapping[str, str] = field(default_factory=lambda: dict(TRAINING))
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def corpus_name(self) -> str:
        """For people."""
        return CORPUS_NAME if self.corpus is None else self.corpus.resolve().name


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that is said, the golden set as an operator would keep it, and how much of the corpus this is."""

    materials: Materials
    golden_manifest: Path
    golden_from: str
    taken: str


def gather(options: DemoOptions, screen: Screen) -> Stage:
    """Decide who records what, and decode it.

    Raises:
        DataError: if the corpus cannot be used.
    """
    folder = options.corpus
    if folder is None:
        folder = write_synthetic_corpus(
            options.out / "corpus",
            seed=options.seed,
            on_progress=lambda n_done, n: screen.live(f"{n_done} of {n} sentences spoken"),
        )
    rows = read_manifest(folder)
    plan = plan_demo(rows, size=options.size, seed=options.seed)
    with open_decoder() as decode:
        materials = load_materials(
            plan,
            decode,
            n_spare=options.size.poisoned,
            most_s=options.size.to_correct_s,
            on_progress=lambda what: screen.live(f"reading {what}"),
        )
    n_speakers = len({clip.speaker for clip in materials.golden})
    golden_from = f"{len(materials.golden)} clips of {n_speakers} speakers, {_GOLDEN_FROM[plan.golden_source]}"
    screen.table(
        ("person", "accent", "to correct", "never uploaded", "lets corrections be used"),
        [
            (
                person.name,
                (person.accent or "unknown")[:30],
                len(person.to_correct),
                len(person.kept_back),
                "yes" if person.has_consented else "no",
            )
            for person in materials.people
        ],
    )
    screen.say(f"golden set: {golden_from}")
    taken = "" if options.corpus is None else describe_taken(rows, materials)
    if taken:
        screen.say(f"{taken}; --seed chooses others")
    if materials.n_unreadable:
        screen.bad(f"{materials.n_unreadable} recordings of the corpus could not be decoded and are left out")
    manifest = write_golden(materials.golden, options.out / "golden")
    return Stage(materials=materials, golden_manifest=manifest, golden_from=golden_from, taken=taken)


def describe_taken(rows: Sequence[ManifestRow], materials: Materials) -> str:
    """How much of a corpus the demo takes, in words; empty if it takes all of it."""
    n_own = sum(len(person.to_correct) + len(person.kept_back) for person in materials.people)
    n_golden, n_spare = len(materials.golden), len(materials.spare)
    if n_own + n_golden + n_spare == len(rows):
        return ""
    return (
        f"To end within five minutes on two cores the demo takes {len(materials.people)} of the corpus's "
        f"{len({row.speaker for row in rows})} speakers as users, and of its {len(rows)} recordings {n_own} of theirs, "
        f"{n_golden} to judge by and at most {n_spare} others for the wrong corrections"
    )


def backend_for(options: DemoOptions, stage: Stage) -> Backend:
    """A backend that is not started yet."""
    variables = {
        "GOLDEN": str(stage.golden_manifest),
        "BASE": options.model,
        # The demo asks for its runs itself: neither a threshold nor a calendar may come in between.
        "MIN_NEW_SAMPLES": "1000000",
        "SCHEDULE_DAYS": "0",
        # What is shown is how the gate judges trained models: nobody spares it the work.
        "TRIAGE": "off",
        # Nobody sits there to decide: what is held is set aside, and the story goes on.
        "APPROVAL": "never",
        # The same story on every machine, whether it has the networks of voices or not.
        "HOLD_SPEAKERS": "off",
        **intent_settings(options.out, options.seed),
        **{f"TRAINING_{name}": value for name, value in options.training.items()},
        **options.settings,
    }
    return Backend(options.out / "server", options.out / "logs", options.environment, variables)


def start(backend: Backend, model: str, screen: Screen) -> tuple[Server, str]:
    """Start everything and release the first version; gives what devices are told and the digest of its weights.

    Raises:
        BackendError: if something does not start.
    """
    home = backend.command("init")
    root = base64.b64decode(home["release_root"])
    server = Server(home["server_url"], home["enrolment_code"], home["release_public_key"], root)
    started = [
        ("Hub", backend.start("hub", "serve", "--only", "hub", is_ready="ready:"), backend.settings.hub_endpoint),
        ("API", backend.start("api", "serve", "--only", "api", is_ready="ready:"), server.url),
    ]
    screen.live(f"scoring {model} on the golden set, publishing and releasing it")
    release = backend.command("publish", "--model", model, "--version", FIRST_VERSION)
    worker = backend.start("worker", "work", "--interval-s", "0.5", is_ready="waiting for work")
    screen.table(("process", "pid", "where"), [*started, ("worker", worker, f"log in {backend.logs['worker']}")])
    score = backend.report_on(release["weights_sha256"]).wer
    screen.good(f"version {FIRST_VERSION} is released: golden word error rate {percent(score)}")
    return server, str(release["weights_sha256"])
