"""Joins who answers on a device: a model here, a model elsewhere where that was allowed, templates last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from projectone.assist.generation.accounts import AccountedGenerator, Accounts, Budget, BudgetedGenerator
from projectone.assist.generation.breaker import BreakerGenerator
from projectone.assist.generation.cache import CachedGenerator, KeptAnswers
from projectone.assist.generation.checked import CheckedGenerator
from projectone.assist.generation.consented import ConsentedGenerator
from projectone.assist.generation.deadline import DeadlineGenerator
from projectone.assist.generation.fallback import FallbackGenerator
from projectone.assist.generation.hosted import HostedGenerator, HostedServer
from projectone.assist.generation.masking import MaskedGenerator
from projectone.assist.generation.prepared import PreparedGenerator
from projectone.assist.generation.protocol import Generator
from projectone.assist.generation.templates import TemplateGenerator
from projectone.assist.generation.wordings import WORDINGS
from projectone.device.answers import Answers
from projectone.device.answers.answers import Chain
from projectone.device.answers.known import Known
from projectone.device.consent import ConsentLedger
from projectone.device.quality import Understanding
from projectone.device.settings import DeviceSettings
from projectone.errors import SettingsError
from projectone.storage.database import Database
from projectone.storage.keyrings import read_secret

KEYRING = "keyring"
_KEYRING_SERVICE = "projectone-answers"


def answers(
    settings: DeviceSettings,
    database: Database,
    consent: ConsentLedger,
    known: Known,
    flags: Callable[[str], bool],
    is_guarded: Callable[[], bool],
    understanding: Understanding,
    clock: Callable[[], datetime],
) -> Answers:
    """What answers questions in words.

    Args:
        settings: Which models there are.
        database: Where the list of what left lies.
        consent: Whether anything may leave.
        known: What this device knows that bears on a question, and the names that are hidden from hosted models.
        flags: The safety check of what a model answers.
        is_guarded: Whether there is one just now.
        understanding: Counts who answered, where that is allowed.
        clock: Now.
    """

    def keep(generator: Generator) -> Generator:
        # An answer may have been kept before there was a safety classifier, or by leave of another one.
        return CachedGenerator(generator, KeptAnswers(database), clock=clock, may_give=lambda text: not flags(text))

    def count(chain: FallbackGenerator) -> AccountedGenerator:
        return AccountedGenerator(chain, Accounts(database), clock=clock)

    checked = partial(CheckedGenerator, flags=flags, is_guarded=is_guarded)

    def make_chain() -> Chain:
        links: list[Generator] = []
        loaded: list[PreparedGenerator] = []
        if settings.answers_local_model is not None:
            # Imported where it is asked for: it loads a BLAS.
            from projectone.assist.generation.local.language_model import LocalGenerator

            local = LocalGenerator(settings.answers_local_model)
            # Outermost: before anything can be looked up by the model's version, its files are read.
            here = PreparedGenerator(keep(checked(DeadlineGenerator(local))), local.prepare)
            links.append(here)
            loaded.append(here)
        last = TemplateGenerator(WORDINGS)
        local_name = None if settings.answers_local_model is None else settings.answers_local_model.name
        if settings.answers_url is None:
            return Chain(count(FallbackGenerator(links, last)), last.model_version, local=local_name, loaded=loaded)
        server = _server(settings)
        hosted = HostedGenerator(server, before_bytes_leave=partial(made.before_bytes_leave, server.host, server.model))
        paid = BudgetedGenerator(
            PreparedGenerator(BreakerGenerator(DeadlineGenerator(hosted)), hosted.prepare),
            Accounts(database),
            Budget(micros=settings.answers_budget_micros),
            cost=server.cost,
            clock=clock,
        )
        mask = MaskedGenerator(paid, names=known.names)
        links.append(keep(checked(ConsentedGenerator(mask, made.require_consent))))
        return Chain(
            count(FallbackGenerator(links, last)),
            last.model_version,
            mask=mask,
            host=server.host,
            model=server.model,
            local=local_name,
            loaded=loaded,
            close=hosted.close,
        )

    made = Answers(
        make_chain,
        database,
        consent,
        known.bearing_on,
        deadline_s=settings.answers_deadline_s,
        clock=clock,
        on_answer=understanding.answered,
    )
    return made


def _server(settings: DeviceSettings) -> HostedServer:
    assert settings.answers_url is not None, "asked for only where one is set"
    if not settings.answers_model:
        raise SettingsError("PROJECTONE_ANSWERS_MODEL: expected the name of the model that the server is asked for")
    read_price, write_price = settings.answers_prices
    server = HostedServer(
        base_url=settings.answers_url,
        model=settings.answers_model,
        prompt_price=read_price,
        answer_price=write_price,
    )
    return replace(server, api_key=_key(settings.answers_key, server.host))


def _key(where: str, host: str) -> str:
    """The server's key: from the keyring, or a file that nobody else may read."""
    if not where:
        return ""
    if where == KEYRING:
        return read_secret(_KEYRING_SERVICE, host)
    path = Path(where).expanduser()
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"PROJECTONE_ANSWERS_KEY: others can read {where!r}: chmod 600 it")
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"PROJECTONE_ANSWERS_KEY: expected a file with the key, or {KEYRING}, got {where!r}: {error}"
        ) from error
