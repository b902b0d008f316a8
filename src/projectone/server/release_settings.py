"""What is judged before a model goes out, and how it goes out."""

from __future__ import annotations

from dataclasses import dataclass

from projectone.server.setting_values import number, one_of, setting


@dataclass(frozen=True, kw_only=True)
class ReleaseSettings:
    """The part of the settings that gate, registry, packager and release service are told."""

    channel: str = setting("CHANNEL", "Release channel that deployed models go to", default="stable")
    release_days: float = setting(
        "RELEASE_DAYS",
        "Days for which a release may be acted on before it has to be signed again",
        number(float, 0.01, 3650),
        default=90.0,
    )
    trigger_scan: str = setting(
        "TRIGGER_SCAN",
        "Whether what is odd about new samples is tried out on the golden recordings before a model goes out, for a "
        "planted trigger: `on` or `off`",
        one_of("on", "off"),
        default="on",
    )
