"""What an operator may set, read once at the door from `PROJECTONE_SERVER_*` variables.

What is secret (tokens, codes, URLs that may hold a password) is left out of `repr`: no log or traceback shows it.
"""

# ruff: noqa: RUF009 - `_setting` only wraps `dataclasses.field`

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from projectone.assist.vectors.addresses import EXPECTED, SQLITE, read_vectors
from projectone.contracts.consent import RETRAIN_DAYS, ConsentScope
from projectone.contracts.releases import family_of, line_of
from projectone.contracts.versions import DEFAULT_FAMILY, FAMILIES, Family
from projectone.errors import SettingsError
from projectone.server.intent_settings import IntentSettings
from projectone.server.release_settings import ReleaseSettings
from projectone.server.safety_settings import SafetySettings
from projectone.server.setting_values import PREFIX
from projectone.server.setting_values import address as _address
from projectone.server.setting_values import address_of_ray as _address_of_ray
from projectone.server.setting_values import kinds_and_days as _kinds_and_days
from projectone.server.setting_values import local_url as _local_url
from projectone.server.setting_values import number as _number
from projectone.server.setting_values import one_of as _one_of
from projectone.server.setting_values import places_of_keys as _places_of_keys
from projectone.server.setting_values import port as _port
from projectone.server.setting_values import prices as _prices
from projectone.server.setting_values import read_key as _read_key
from projectone.server.setting_values import setting as _setting
from projectone.server.training_settings import TrainingSettings

PUBLIC_HUB_URL = "https://huggingface.co"


@dataclass(frozen=True, kw_only=True)
class ServerSettings(ReleaseSettings, TrainingSettings, IntentSettings, SafetySettings):
    """Everything that `serve` and `work` are told. Below them each room is handed its own piece."""

    home: Path = _setting(
        "HOME",
        "Folder for rows, keys, samples, models and runs",
        lambda text: Path(text).expanduser().absolute(),
        shown="~/.local/share/projectone-server",
    )
    database_url: str = _setting(
        "DATABASE_URL",
        "Where the rows are kept (SQLAlchemy URL)",
        shown="sqlite:///HOME/projectone.sqlite",
        is_secret=True,
    )
    keys_database_url: str = _setting(
        "KEYS_DATABASE_URL",
        "Where the keys of consents are kept (SQLAlchemy URL); never beside the rows: one backup would hold both",
        shown="sqlite:///HOME/keys/consents.sqlite",
        is_secret=True,
    )
    key_passphrase: str | None = _setting(
        "KEY_PASSPHRASE",
        "Locks the master key that wraps the keys of consents; `serve` does not need it",
        default=None,
        shown="none: the file is as safe as the folder",
        is_secret=True,
    )
    master_keys: str = _setting(
        "MASTER_KEYS",
        "Where new master keys are made: `file`, `keyring` (the system's) or `aws-kms:REGION` (`@URL` behind it: at "
        "another address); behind a comma where older ones still lie until `keys rotate` has run",
        _places_of_keys,
        default="file",
    )
    backup_folders: tuple[Path, ...] = _setting(
        "BACKUP_FOLDERS",
        f"Folders in which backups lie, with {os.pathsep!r} between them: `doctor` and the worker warn of those older "
        "than people were promised",
        lambda text: tuple(Path(part).expanduser().absolute() for part in text.split(os.pathsep) if part),
        default=(),
        shown="none: nobody looks",
    )
    api_host: str = _setting("API_HOST", "Address that the API listens on", default="127.0.0.1")
    api_port: int = _setting("API_PORT", "Port that the API listens on; 0 takes a free one", _port, default=8700)
    hub_host: str = _setting("HUB_HOST", "Address that the embedded Hub listens on", default="127.0.0.1")
    hub_port: int = _setting(
        "HUB_PORT", "Port that the embedded Hub listens on; 0 takes a free one", _port, default=8701
    )
    public_url: str = _setting("PUBLIC_URL", "How devices reach the API", _address, shown="http://API_HOST:API_PORT")
    hub_endpoint: str = _setting(
        "HUB_ENDPOINT",
        f"The Hub that models are published to; set but empty means {PUBLIC_HUB_URL}",
        _address,
        shown="http://HUB_HOST:HUB_PORT",
    )
    hub_token: str = _setting(
        "HUB_TOKEN", "Token with write access to that Hub", shown="content of HOME/keys/hub-token", is_secret=True
    )
    hub_repo: str = _setting("HUB_REPO", "Repository for the models, `owner/name`", default="projectone/whisper")
    hub_quota_gb: float = _setting(
        "HUB_QUOTA_GB",
        "Gigabytes that the repositories of one namespace of the embedded Hub may hold together; 0 sets no limit",
        _number(float, 0, 10**9),
        default=0.0,
    )
    enrolment_code: str = _setting(
        "ENROLMENT_CODE",
        "Code that a device shows once to become known",
        shown="content of HOME/keys/enrolment-code",
        is_secret=True,
    )
    base: str = _setting(
        "BASE",
        "Model that every training run starts from: `starter`, a folder, or `owner/name[@revision]`",
        default="starter",
    )
    golden: str | None = _setting(
        "GOLDEN", "Manifest (manifest.jsonl) of the recordings that models are judged on", default=None
    )
    replay: str | None = _setting(
        "REPLAY", "Manifest of general speech that is mixed into training, against forgetting", default=None
    )
    min_free_share: float = _setting(
        "MIN_FREE_SHARE",
        "Share of the disk (a fraction) that stays free, 10 GB at most: with less, uploads are refused until there is "
        "room, while withdrawals and training go on; 0 takes uploads until the disk is full",
        _number(float, 0, 0.9),
        default=0.1,
    )
    min_new_samples: int = _setting(
        "MIN_NEW_SAMPLES", "New samples that start a training run", _number(int, 1, 10**9), default=50
    )
    max_new_per_contributor: int = _setting(
        "MAX_NEW_PER_CONTRIBUTOR",
        "New samples of one person that one run learns from, the oldest first; the others wait for a later run",
        _number(int, 1, 10**9),
        default=100,
    )
    max_new_per_stranger: int = _setting(
        "MAX_NEW_PER_STRANGER",
        "The same for one person of whom released models have learned less than 20 samples",
        _number(int, 1, 10**9),
        default=20,
    )
    stranger_share: float = _setting(
        "STRANGER_SHARE",
        "Share of all seconds (a fraction) that such a person may give to one run; a minute is always allowed",
        _number(float, 0, 1),
        default=0.005,
    )
    max_new_per_phrase: int = _setting(
        "MAX_NEW_PER_PHRASE",
        "New samples with the same three words in a row that one run learns from, of all such people together",
        _number(int, 1, 10**9),
        default=40,
    )
    max_failed_looks: int = _setting(
        "MAX_FAILED_LOOKS",
        "So many clips of one person may fail or end whoever looks at them in a run; the person's other new ones are "
        "then held (`not-looked-at`) without a look",
        _number(int, 1, 10**9),
        default=3,
    )
    few_contributors: int = _setting(
        "FEW_CONTRIBUTORS",
        "With fewer people than this the operator knows everybody, and the three limits for strangers are not used",
        _number(int, 0, 10**9),
        default=20,
    )
    hold_personal: str = _setting(
        "HOLD_PERSONAL",
        "Whether samples with cards, bank accounts, e-mail addresses, telephone or identity numbers in their text wait "
        "for a person (`corpus review`) before anything learns from them: `on` or `off`",
        _one_of("on", "off"),
        default="on",
    )
    hold_speakers: str = _setting(
        "HOLD_SPEAKERS",
        "Whether clips in which a second voice seems to speak wait for a person (`corpus review`): `on`, `off`, or "
        "`auto`, which is `on` where the networks of voices are installed (docs/voices.md). With them 3 in 100 clips "
        "of one person wait and 94 in 100 of two who take turns; without them `on` compares pitch and colour, and of "
        "two who take turns 4 in 10 wait (docs/threats.md, T22)",
        _one_of("auto", "on", "off"),
        default="auto",
    )
    cap_voices: str = _setting(
        "CAP_VOICES",
        "Whether accounts of strangers whose clips are one voice weigh together in a run what two people may: `on` or "
        "`off`. Voices are compared in memory and nothing of them is kept; still it is recognising people: tell them. "
        "Needs the networks of voices (docs/voices.md)",
        _one_of("on", "off"),
        default="off",
    )
    ray: str | None = _setting(
        "RAY",
        "The Ray cluster that looks at clips, with the extra `ray`: `auto` (this machine is part of it), "
        "`ray://HOST:PORT`, or `local`",
        _address_of_ray,
        default=None,
        shown="none: a sealed process on each core",
    )
    vectors: str = _setting(
        "VECTORS",
        f"Where vectors are kept: {EXPECTED}",
        read_vectors,
        default=SQLITE,
        shown="sqlite",
        is_secret=True,
    )
    memory_keep: str = _setting(
        "MEMORY_KEEP",
        "How many days memories of a product's people are kept, by kind: each a number of days or `forever`; `0` keeps "
        "none of it. A product may have them kept shorter",
        _kinds_and_days,
        default="",
        shown="said=90 asked=30 noted=forever",
    )
    answers_prices: tuple[float, float] = _setting(
        "ANSWERS_PRICES",
        "What a million tokens cost that the language model of `serve-assist` reads, and that it writes; for "
        "`serve-assist costs`",
        _prices,
        default=(0.0, 0.0),
        shown="0,0",
    )
    schedule_days: float = _setting(
        "SCHEDULE_DAYS",
        "Days after which a run starts even with fewer; 0 switches the schedule off",
        _number(float, 0, 3650),
        default=7.0,
    )
    keep_corrections_days: float = _setting(
        "KEEP_CORRECTIONS_DAYS",
        "Days for which corrections are kept; 0 keeps them as long as the consent holds",
        _number(float, 0, 36_500),
        default=0.0,
    )
    keep_voice_donation_days: float = _setting(
        "KEEP_VOICE_DONATION_DAYS",
        "Days for which donated readings are kept; 0 keeps them as long as the consent holds",
        _number(float, 0, 36_500),
        default=0.0,
    )
    keep_intents_days: float = _setting(
        "KEEP_INTENTS_DAYS",
        "Days for which corrected intents are kept; 0 keeps them as long as the consent holds",
        _number(float, 0, 36_500),
        default=0.0,
    )
    keep_evaluation_days: float = _setting(
        "KEEP_EVALUATION_DAYS",
        "Days for which samples that models are judged on are kept; 0 keeps them as long as the consent holds",
        _number(float, 0, 36_500),
        default=0.0,
    )
    retrain_days: float = _setting(
        "RETRAIN_DAYS",
        "Days after a withdrawal by which a released model that had learned from it is replaced; the consents promise "
        f"at most {RETRAIN_DAYS}",
        _number(float, 0, RETRAIN_DAYS),
        default=float(RETRAIN_DAYS),
    )
    triage: str = _setting(
        "TRIAGE",
        "Whether a run first asks if the new samples can teach anything that the gate could confirm (`on`), or trains "
        "on whatever it has (`off`)",
        _one_of("on", "off"),
        default="on",
    )
    log: str = _setting(
        "LOG",
        "What `serve` writes to its standard error: `errors` of ours, or all `requests`, each without paths and names",
        _one_of("errors", "requests"),
        default="errors",
    )
    checkpoints: Path = _setting(
        "CHECKPOINTS",
        "Folder that signed checkpoints of the audit log are put into every hour; best on another machine's disk",
        lambda text: Path(text).expanduser().absolute(),
        shown="HOME/checkpoints",
    )
    oidc_issuer: str | None = _setting(
        "OIDC_ISSUER",
        "OpenID Connect provider at which people sign in to the console, letter by letter as it calls itself",
        default=None,
        shown="none: with tokens alone",
    )
    oidc_client_id: str | None = _setting("OIDC_CLIENT_ID", "What the provider calls this console", default=None)
    oidc_client_secret: str | None = _setting(
        "OIDC_CLIENT_SECRET", "The console's secret at the provider, if it has one", default=None, is_secret=True
    )
    slack_webhook_url: str | None = _setting(
        "SLACK_WEBHOOK_URL", "Where quarantined runs are reported in Slack", _address, default=None, is_secret=True
    )
    smtp_url: str | None = _setting(
        "SMTP_URL", "Mail server for reports, `smtp[s]://user:password@host:port`", default=None, is_secret=True
    )
    email_to: str | None = _setting("EMAIL_TO", "Who gets the reports by mail", default=None)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ServerSettings:
        """Read the variables; where one is missing, the default.

        Raises:
            SettingsError: naming the variable, what was expected and what was found.
        """
        found: dict[str, Any] = {}
        for setting in dataclasses.fields(cls):
            variable = setting.metadata["variable"]
            if environ.get(variable):
                try:
                    found[setting.name] = setting.metadata["read"](environ[variable])
                except ValueError as error:
                    # The value itself is shown only where it is no secret.
                    shown = repr(environ[variable]) if setting.repr else "something else"
                    raise SettingsError(f"{variable}: {error}, got {shown}") from error
        if environ.get(f"{PREFIX}HUB_ENDPOINT") == "":
            found["hub_endpoint"] = PUBLIC_HUB_URL
        settings = cls(**_with_defaults(found, environ))
        try:
            line_of(DEFAULT_FAMILY, settings.channel)
        except ValueError as error:
            raise SettingsError(f"{PREFIX}CHANNEL: {error}") from error
        return settings

    @property
    def family(self) -> Family:
        """Whose models these settings are about."""
        return family_of(self.channel)

    @property
    def families(self) -> tuple[Family, ...]:
        """Those whose models come from here: intents where they can be taught, safety where it can be judged."""
        here = {"intents": self.intents_data is not None, "safety": self.safety_golden is not None}
        return tuple(family for family in FAMILIES if here.get(family, True))

    def of_family(self, family: Family) -> ServerSettings:
        """The same server as one family of models sees it: its repository, base, golden set and line of releases."""
        if family == self.family:
            return self
        is_safety = family == "safety"
        return dataclasses.replace(
            self,
            channel=line_of(family, self.channel),
            hub_repo=self.safety_repo if is_safety else self.intents_repo,
            base=self.intents_encoder,
            golden=self.safety_golden if is_safety else self.intents_golden,
            replay=None,
            tiers=(),
            gate_without=self.safety_gate_without if is_safety else self.intents_gate_without,
            triage_min_minutes=0.0,
        )

    @property
    def keys_folder(self) -> Path:
        """Where the keys lie; nobody but the server's user may read it."""
        return self.home / "keys"

    @property
    def keep(self) -> dict[ConsentScope, timedelta | None]:
        """For each purpose how long a sample is kept; None for as long as the consent holds."""
        days: dict[ConsentScope, float] = {
            "corrections": self.keep_corrections_days,
            "voice_donation": self.keep_voice_donation_days,
            "evaluation": self.keep_evaluation_days,
            "intents": self.keep_intents_days,
        }
        return {purpose: timedelta(days=n) if n else None for purpose, n in days.items()}

    @property
    def own_hub_url(self) -> str:
        """Address of the embedded Hub, as seen from this machine."""
        return _local_url(self.hub_host, self.hub_port)


def _with_defaults(found: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """`found` with the defaults that depend on other settings."""
    user = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    data = Path(environ.get("XDG_DATA_HOME") or user / ".local" / "share")
    home: Path = found.setdefault("home", data / "projectone-server")
    found.setdefault("database_url", f"sqlite:///{home}/projectone.sqlite")
    found.setdefault("checkpoints", home / "checkpoints")
    found.setdefault("keys_database_url", f"sqlite:///{home}/keys/consents.sqlite")
    defaults = {setting.name: setting.default for setting in dataclasses.fields(ServerSettings)}
    for url, side in (("public_url", "api"), ("hub_endpoint", "hub")):
        host, port = (found.get(f"{side}_{part}", defaults[f"{side}_{part}"]) for part in ("host", "port"))
        found.setdefault(url, _local_url(host, port))
    for name, file in (("hub_token", "hub-token"), ("enrolment_code", "enrolment-code")):
        found.setdefault(name, _read_key(home / "keys" / file))
    return found
