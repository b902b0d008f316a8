"""Puts a `DeviceClient` together from settings: the one place where the rooms of the device meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from projectone import __version__
from projectone.contracts.devices import Enrolment
from projectone.contracts.endpoints import DEVICES
from projectone.contracts.signatures import CHECKPOINT, ERASURE, POLICIES, SCRIPTS
from projectone.contracts.versions import Family
from projectone.device import answer_wiring, intent_wiring, memory_wiring, model_wiring, safety_wiring
from projectone.device.acceptance import Acceptance
from projectone.device.adoption import Adoption, ModelLine
from projectone.device.answers.known import Known
from projectone.device.assistant import Assistant, Guard
from projectone.device.client import DeviceClient
from projectone.device.clips import read_clip, read_given_clip
from projectone.device.consent import ConsentLedger
from projectone.device.corrections import Corrections
from projectone.device.donating import Distances, Donating
from projectone.device.engine import load_engine
from projectone.device.given import Given
from projectone.device.heard import Heard, OnProgress
from projectone.device.installed import Installed
from projectone.device.keys import DeviceKeys
from projectone.device.library import Library
from projectone.device.live import Live, Partials, Spools
from projectone.device.memory import has_room_for
from projectone.device.migrations import MIGRATIONS
from projectone.device.offers import Offers
from projectone.device.outbox import Outbox
from projectone.device.quality import Counts, Quality, Understanding
from projectone.device.quality.quality import Sender
from projectone.device.recordings import Clip, Recording, Recordings
from projectone.device.releases.history import ServerHistory
from projectone.device.remembering import Remembering
from projectone.device.replies import Replies
from projectone.device.rooms import DeviceRooms
from projectone.device.scripts import Scripts
from projectone.device.sent import Sent
from projectone.device.settings import DeviceSettings
from projectone.device.transcriber import Engine, Transcriber
from projectone.device.transport import Transport
from projectone.device.trust import Trust
from projectone.device.uploader import Uploader
from projectone.device.vocabulary import Vocabulary
from projectone.errors import SettingsError, StorageError
from projectone.storage.blobs import FileBlobs
from projectone.storage.database import Database
from projectone.storage.files import make_folder
from projectone.storage.reserve import Reserve

# The first things that are made in a home.
_OURS = frozenset({"device.sqlite", "keys", "models"})


def open_client(settings: DeviceSettings) -> DeviceClient:
    """A client at work in `settings.home`, after bringing anything that was interrupted back to order.

    Raises:
        StorageError: if the home is damaged or cannot be written to.
        SettingsError: if a release key is no key.
    """
    trust = Trust(settings.release_keys, channel=settings.channel, runtime=__version__, tier=settings.tier)
    _make_home(settings.home)
    keys = DeviceKeys.open(settings.home / "keys", clock_s=time.time)
    transport = Transport(settings.server, keys.sign)
    reserve = Reserve(settings.home / "reserve")
    reserve.hold()
    database = Database(settings.home / "device.sqlite", MIGRATIONS)
    recordings = Recordings(database, FileBlobs(settings.home / "audio"))
    recordings.sweep_audio()
    consent, outbox = ConsentLedger(database), Outbox(database)
    vocabulary = Vocabulary(database, clock=_now)
    lines = _lines(settings, database, transport, keys)
    acceptance = model_wiring.acceptance(lines["speech"].rows, recordings, outbox, settings.language, read_clip, _now)
    transcriber = _transcriber(lines["speech"], acceptance, vocabulary, settings)
    quality = _quality(database, consent, transport, keys, lines, settings)
    understanding = Understanding(quality, lambda: _version_of(lines["intents"].installed))
    memory = memory_wiring.remembering(database, settings.memory_keep, vocabulary.active, _now)
    guard, flags, is_guarded, harmless = safety_wiring.safety(settings, database, lines["safety"], quality, _now)
    keep = partial(_keep, transcriber, recordings, quality, vocabulary, memory)
    offers = Offers(recordings, outbox, consent, contributor_id=keys.contributor_id, language=settings.language)
    corrections = _corrections(database, recordings, outbox, consent, offers, vocabulary, keys)
    assist = intent_wiring.assistant(database, lines["intents"], recordings, outbox, offers, understanding, _now)
    sent = Sent(database, recordings, outbox, forget_traces=memory.tidy)
    sheet, policies, erasure = partial(trust.read, SCRIPTS), partial(trust.read, POLICIES), partial(trust.read, ERASURE)
    replies = memory_wiring.replies(settings.home, transport, policies, memory, harmless.flags, understanding, _now)
    known = Known(first=replies.first, recall=memory.recall, newest=memory.newest, terms=vocabulary.active)
    return DeviceClient(
        DeviceRooms(
            home=settings.home,
            database=database,
            reserve=reserve,
            recordings=recordings,
            consent=consent,
            outbox=outbox,
            keys=keys,
            transport=transport,
            installed=lines["speech"].installed,
            corrections=corrections,
            sent=sent,
            given=Given(recordings, outbox),
            library=Library(recordings, outbox, read_clip),
            uploader=_uploader(database, outbox, consent, recordings, transport, keys, settings),
            lines=lines,
            adoptions=_adoptions(lines, transcriber, assist, guard, replies, database, transport, settings),
            transcriber=transcriber,
            vocabulary=vocabulary,
            donating=Donating(
                Scripts(settings.home / "scripts", transport, sheet, language=settings.language, clock=_now),
                recordings,
                consent,
                corrections,
                sent,
                transcriber,
                reserve,
                read=read_given_clip,
                distances=_distances,
            ),
            assist=assist,
            guard=guard,
            harmless=harmless,
            memory=memory,
            replies=replies,
            answers=answer_wiring.answers(settings, database, consent, known, flags, is_guarded, understanding, _now),
            live=_live(settings.home / "live", transcriber, recordings, keep),
            quality=quality,
            history=ServerHistory(settings.home / "audit", transport, partial(trust.read, CHECKPOINT), clock=_now),
            read_erasure=erasure,
            read_uses=trust.read_uses,
            channel=settings.channel,
            keep=keep,
            clock=_now,
        )
    )


def _make_home(home: Path) -> None:
    try:
        make_folder(home)
        _refuse_others(home)
        home.chmod(0o700)  # recordings are nobody else's business
    except OSError as error:
        raise StorageError(f"{home}: {error.strerror}; PROJECTONE_HOME chooses another folder") from error


def _refuse_others(home: Path) -> None:
    """A folder that holds something else is somebody's: it is not to be closed to them by a slip in a setting."""
    names = {path.name for path in home.iterdir() if not path.name.startswith(".")}
    if names and not names & _OURS:
        example = min(names)
        raise SettingsError(
            f"PROJECTONE_HOME: expected an empty folder or one of this app, got {str(home)!r}, which holds {example!r}"
        )


def _lines(
    settings: DeviceSettings, database: Database, transport: Transport, keys: DeviceKeys
) -> dict[Family, ModelLine]:
    """What this device has for each family of models."""
    models = Installed(settings.home / "models")
    models.recover()
    here: dict[Family, Installed] = {
        "speech": models,
        "intents": intent_wiring.installed_intents(settings.home),
        "safety": safety_wiring.installed_guards(settings.home),
    }

    def introduce() -> Enrolment:
        return _introduction(keys, settings.enrolment_code)

    return {
        family: model_wiring.line(family, installed, database, transport, introduce, _now)
        for family, installed in here.items()
    }


def _adoptions(
    lines: Mapping[Family, ModelLine],
    transcriber: Transcriber,
    assist: Assistant,
    guard: Guard,
    replies: Replies,
    database: Database,
    transport: Transport,
    settings: DeviceSettings,
) -> dict[Family, Adoption]:
    workers: dict[Family, model_wiring.Worker] = {"speech": transcriber, "intents": assist, "safety": guard}
    return {
        family: model_wiring.adoption(
            line,
            workers[family],
            [other.installed for other in lines.values() if other.family != family],
            database,
            transport,
            settings,
            _now,
            also_ask=replies.refresh if family == "intents" else None,
        )
        for family, line in lines.items()
    }


def _transcriber(
    line: ModelLine, acceptance: Acceptance, vocabulary: Vocabulary, settings: DeviceSettings
) -> Transcriber:
    def on_heard(heard: Heard, sound_s: float) -> None:
        is_empty = not heard.text.strip()
        line.windows.count_heard(sound_s, heard.computing_s, is_empty)
        line.uses.count_heard(heard.model_version, is_empty=is_empty)

    return Transcriber(
        line.installed,
        lambda folder: _load_engine(folder, settings),
        terms=vocabulary.active,
        begin_trial=model_wiring.trials(line.installed, acceptance),
        has_room=has_room_for,
        watch=line.uses,
        on_heard=on_heard,
    )


def _corrections(
    database: Database,
    recordings: Recordings,
    outbox: Outbox,
    consent: ConsentLedger,
    offers: Offers,
    vocabulary: Vocabulary,
    keys: DeviceKeys,
) -> Corrections:
    return Corrections(
        database,
        recordings,
        outbox,
        consent,
        offers,
        contributor_id=keys.contributor_id,
        clock=_now,
        learn=vocabulary.learn,
    )


def _uploader(
    database: Database,
    outbox: Outbox,
    consent: ConsentLedger,
    recordings: Recordings,
    transport: Transport,
    keys: DeviceKeys,
    settings: DeviceSettings,
) -> Uploader:
    return Uploader(
        database,
        outbox,
        consent,
        recordings,
        transport,
        lock=settings.home / "sync.lock",
        introduce=lambda: _introduction(keys, settings.enrolment_code),
        clock=_now,
    )


def _quality(
    database: Database,
    consent: ConsentLedger,
    transport: Transport,
    keys: DeviceKeys,
    lines: Mapping[Family, ModelLine],
    settings: DeviceSettings,
) -> Quality:
    def introduce() -> None:
        body = _introduction(keys, settings.enrolment_code).to_bytes()
        transport.call("POST", DEVICES, body=body, media_type="application/json", is_signed=False)

    sender = Sender(
        channel=settings.channel,
        tier=settings.tier,
        app_version=__version__,
        contributor_id=keys.contributor_id,
        introduce=introduce,
        installed=lambda: {
            family: version for family, line in lines.items() if (version := _version_of(line.installed)) is not None
        },
    )
    return Quality(Counts(database), consent, transport, sender, word_distance=lambda: _distances()[0], clock=_now)


def _version_of(installed: Installed) -> str | None:
    current = installed.state().current
    return None if current is None else current.version


def _keep(
    transcriber: Transcriber,
    recordings: Recordings,
    quality: Quality,
    vocabulary: Vocabulary,
    memory: Remembering,
    clip: Clip,
    recorded_at: datetime,
    on_progress: OnProgress | None = None,
) -> Recording:
    """Whatever sound was taken in, from a file or while it was said: heard, then kept with what was heard in it."""
    heard = transcriber.transcribe(clip.samples, on_progress=on_progress)
    quality.count_heard(heard, clip.samples)
    vocabulary.count_helped(heard.terms)
    recording = recordings.add(
        clip,
        text=heard.text,
        model_version=heard.model_version,
        recorded_at=recorded_at,
        words=heard.words,
        signals=heard.signals,
    )
    memory.heard(recording)
    return recording


def _live(
    folder: Path, transcriber: Transcriber, recordings: Recordings, keep: Callable[[Clip, datetime], Recording]
) -> Live:
    return Live(
        Spools(folder),
        Partials(lambda samples: transcriber.transcribe(samples, is_partial=True).text),
        keep=lambda wav, said_at: keep(read_clip(wav), said_at),
        kept_at=recordings.said_at,
        clock=_now,
    )


def _introduction(keys: DeviceKeys, code: str) -> Enrolment:
    """What is said to a server that does not know this device yet."""
    if not code:
        raise SettingsError(
            "the server does not know this device yet: set PROJECTONE_ENROLMENT_CODE to the code its `init` printed"
        )
    return keys.enrolment(code)


def _load_engine(folder: Path, settings: DeviceSettings) -> Engine:
    return load_engine(folder, language=settings.language, numerics=settings.numerics)


def _distances() -> Distances:
    # Imported here: `status` or `sync` need none of it.
    from projectone.speech.normalize import normalize_text
    from projectone.speech.wer import character_errors, word_errors

    return (
        lambda said, heard: word_errors(normalize_text(said), normalize_text(heard)).rate,
        lambda said, heard: character_errors(normalize_text(said), normalize_text(heard)).rate,
    )


def _now() -> datetime:
    return datetime.now(UTC)
