"""Answers that no model writes: the same words for the same facts, at once, always."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from projectone.assist.generation.protocol import MAX_ANSWER_CHARACTERS, Answer, GenerationRequest
from projectone.errors import SettingsError

_PLAIN: Final = "plain"
_MAX_FACT_CHARACTERS: Final = 4_000


@dataclass(frozen=True)
class TemplateSet:
    """Jinja2 sources by kind of request, under one version.

    Attributes:
        version: As people call it.
        sources: Must hold `plain`, which may ask for no fact.
    """

    version: str
    sources: Mapping[str, str] = field(repr=False)

    @property
    def identity(self) -> str:
        """The version and a digest of every word: nobody changes one and keeps the other."""
        words = json.dumps(dict(self.sources), sort_keys=True, ensure_ascii=True).encode()
        return f"{self.version}-{hashlib.sha256(words).hexdigest()[:12]}"


class TemplateGenerator:
    """Fills in a template. It always answers: what cannot be filled in gets the plain words.

    Templates run in Jinja2's sandbox, see the request's facts and nothing else, and a fact that is missing is an error,
    not a gap. What was asked is not repeated unless it is handed in as a fact.

    Args:
        templates: The words.

    Raises:
        SettingsError: if Jinja2 is not installed, a template is none, or `plain` is missing or asks for a fact.
    """

    name = "template"

    def __init__(self, templates: TemplateSet) -> None:
        try:
            from jinja2 import StrictUndefined, TemplateError
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ImportError as error:
            raise SettingsError("answers need pip install 'projectone[answers]'") from error
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        environment.globals.clear()  # `range`, `lipsum` and the like: nothing that an answer needs
        try:
            self._compiled = {kind: environment.from_string(source) for kind, source in templates.sources.items()}
            self._plain = self._compiled[_PLAIN].render()
        except KeyError:
            raise SettingsError(f"templates {templates.version}: expected one of the kind {_PLAIN!r}") from None
        except TemplateError as error:
            raise SettingsError(f"templates {templates.version}: {error}") from error
        self.model_version = templates.identity

    def generate(self, request: GenerationRequest) -> Answer:
        """The template of the request's kind with its facts, or the plain words."""
        begun_s = time.monotonic()
        kind, text = self._filled(request)
        return Answer(
            text=text,
            by=self.name,
            model_version=self.model_version,
            seed=request.seed,
            template=kind,
            took_s=time.monotonic() - begun_s,
        )

    def _filled(self, request: GenerationRequest) -> tuple[str, str]:
        template = self._compiled.get(request.kind)
        if template is not None:
            facts = {name: value[:_MAX_FACT_CHARACTERS] for name, value in {**request.hints, **request.facts}.items()}
            try:
                text = template.render(facts).strip()[:MAX_ANSWER_CHARACTERS]
            except Exception:  # a template can raise anything, and somebody waits
                text = ""
            if text:
                return request.kind, text
        return _PLAIN, self._plain
