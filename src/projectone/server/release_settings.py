"""What is judged before a model goes out, and how it goes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from projectone.server.setting_values import (
    address,
    names,
    names_among,
    number,
    one_of,
    rollout_stages,
    setting,
    webhook_secret,
)


@dataclass(frozen=True, kw_only=True)
class ReleaseSettings:
    """The part of the settings that gate, registry, packager and release service are told."""

    channel: str = setting("CHANNEL", "Release channel that deployed models go to", default="stable")
    tiers: tuple[str, ...] = setting(
        "TIERS",
        "Forms that releases have beside `float16`, each judged by what its devices compute with: `int8`, `int4` "
        "(packed for MLX), `coreml-float16`, `coreml-int8`, `coreml-palette6`, `coreml-palette4` (for WhisperKit, "
        "with the extra `coreml`), with commas between them; each takes the gate's time once more",
        names_among("int8", "int4", *(f"coreml-{v}" for v in ("float16", "int8", "palette6", "palette4"))),
        default=(),
        shown="none",
    )
    adapters: str = setting(
        "ADAPTERS",
        "`if-as-good`: each run trains adapters and all weights, which takes both times, and keeps the adapters, whose "
        "updates are a few hundredths of the size, where they lose nothing on samples that were held back; `off`: "
        "PROJECTONE_SERVER_TRAINING_METHOD alone decides",
        one_of("off", "if-as-good"),
        default="off",
    )
    hub_webhook_secret: str = setting(
        "HUB_WEBHOOK_SECRET",
        "What the Hub's webhook shows (`X-Webhook-Secret`): then pushes are handed on to GitHub, whose Macs compile "
        "the packages for phones",
        webhook_secret,
        default="",
        shown="none: nothing is handed on, and packages are made here",
        is_secret=True,
    )
    github_repo: str | None = setting(
        "GITHUB_REPO", "Repository on GitHub, `owner/name`, whose workflow `convert.yml` is started", default=None
    )
    github_token: str = setting(
        "GITHUB_TOKEN",
        "A token for that repository alone, with `contents: write`",
        default="",
        shown="none",
        is_secret=True,
    )
    github_api: str = setting("GITHUB_API", "GitHub's API", address, default="https://api.github.com")
    objects: str | None = setting(
        "OBJECTS",
        "Where packages are kept besides the server's own folder, for a CDN to fetch by digest: `s3://bucket/path`, "
        "`gs://...` or `az://...` (with the extra `objects`; credentials as those clouds' tools find them) or a folder",
        default=None,
    )
    packages_url: str | None = setting(
        "PACKAGES_URL",
        "Where the CDN before that store answers: devices that ask for a package are sent there",
        address,
        default=None,
    )
    release_days: float = setting(
        "RELEASE_DAYS",
        "Days for which a release may be acted on before it has to be signed again",
        number(float, 0.01, 3650),
        default=90.0,
    )
    release_above: int = setting(
        "RELEASE_ABOVE",
        "Releases get higher numbers than this one: the highest that somebody with a stolen key signed, or that a "
        "backup does not know of",
        number(int, 0, 2**31),
        default=0,
    )
    approval: str = setting(
        "APPROVAL",
        "Whether a person decides (`work approve`, `work veto`, the console) before a model goes out: `holds` asks "
        "where the gate could not decide, `always` before every release, `never` sets aside what is held",
        one_of("holds", "always", "never"),
        default="holds",
    )
    approval_days: float = setting(
        "APPROVAL_DAYS",
        "Days after which a run that nobody decided about is set aside",
        number(float, 0.001, 365),
        default=7.0,
    )
    rollout: tuple[tuple[int, timedelta], ...] = setting(
        "ROLLOUT",
        "In which stages a release goes out, as `percent:hours` with commas: `0:4,1:24,5:24,25:48,100` is for those "
        "who ask (`projectone update --now`) during four hours, then for 1 % of devices during a day, and so on. Of "
        "fewer than a few hundred devices that report, stages show little",
        rollout_stages,
        default=(),
        shown="everybody at once",
    )
    rollout_alpha: float = setting(
        "ROLLOUT_ALPHA",
        "How likely it may be (a fraction) that a release without harm is stopped by what devices report",
        number(float, 1e-6, 0.5),
        default=0.01,
    )
    rollout_reports: int = setting(
        "ROLLOUT_REPORTS",
        "So many devices with a release must have said how it does in use before a stage of more than 5 % opens by "
        "itself (`rollout advance` opens it all the same); 0: its time is enough. docs/rollout.md says how many show "
        "what; more than 5 % of the devices that report is a wait for a person",
        number(int, 0, 10_000_000),
        default=0,
    )
    gate_without: tuple[str, ...] = setting(
        "GATE_WITHOUT",
        "Checks that the gate leaves out, by their names in docs/gate.md with commas between them, such as "
        "`timestamps` where devices need none; every verdict says so",
        names,
        default=(),
        shown="none",
    )
    trigger_scan: str = setting(
        "TRIGGER_SCAN",
        "Whether what is odd about new samples is tried out on the golden recordings before a model goes out, for a "
        "planted trigger: `on` or `off`",
        one_of("on", "off"),
        default="on",
    )
