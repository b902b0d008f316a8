"""The same words for the same facts, at once, always."""

import re

import pytest
from tests.fakes.generators import asked

from projectone.assist.generation.templates import TemplateGenerator, TemplateSet
from projectone.assist.generation.wordings import WORDINGS
from projectone.assist.holdout.answers import is_refusal
from projectone.errors import SettingsError


def filled(source: str, **facts: str) -> str:
    return (
        TemplateGenerator(TemplateSet("1", {"plain": "plain words", "it": source}))
        .generate(asked(kind="it", facts=facts))
        .text
    )


def test_every_kind_says_its_facts() -> None:
    template = TemplateGenerator(WORDINGS)
    facts = {"policy": "Nine to five.", "said": "my sister is Ida", "day": "Monday"}
    texts = {kind: template.generate(asked(kind=kind, facts=facts)).text for kind in WORDINGS.sources}
    assert texts["policy"] == "Nine to five."
    assert texts["memory"] == "You said this on Monday: my sister is Ida"
    assert TemplateGenerator(WORDINGS).generate(asked(kind="memory", facts={"said": "x"})).text == "You said this: x"


@pytest.mark.parametrize(
    "source",
    [
        "{{ missing }}",
        "{{ said.missing.deeper }}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% for _ in range(10**9) %}a{% endfor %}",
        "   ",
    ],
)
def test_what_cannot_be_filled_in_gets_the_plain_words(source: str) -> None:
    assert filled(source, said="x") == "plain words"


def test_a_kind_that_is_not_there_gets_the_plain_words_and_says_so() -> None:
    answer = TemplateGenerator(WORDINGS).generate(asked(kind="poem"))
    assert (answer.text, answer.template) == (WORDINGS.sources["plain"], "plain")


def test_the_last_words_promise_nothing_that_nobody_does() -> None:
    words = WORDINGS.sources["plain"]
    assert is_refusal(words)
    assert not re.search("lost|kept|keep|saved|noted|remember", words)  # a question without an answer lies nowhere


def test_facts_are_text_and_never_templates() -> None:
    assert filled("{{ said }}", said="{{ 7 * 7 }} <b>") == "{{ 7 * 7 }} <b>"


def test_hints_are_said_too_and_a_fact_comes_before_a_hint() -> None:
    template = TemplateGenerator(WORDINGS)
    hints = {"said": "a hint", "day": "Monday"}
    assert template.generate(asked(kind="memory", hints=hints)).text == "You said this on Monday: a hint"
    assert template.generate(asked(kind="memory", hints=hints, facts={"said": "a fact"})).text.endswith("a fact")


def test_a_long_fact_is_cut() -> None:
    assert len(filled("{{ said }}", said="a" * 100_000)) == 4_000


@pytest.mark.parametrize("sources", [{}, {"it": "x"}, {"plain": "{{ said }}"}, {"plain": "{% if %}"}])
def test_a_set_that_could_not_always_answer_is_refused_at_the_start(sources: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        TemplateGenerator(TemplateSet("1", sources))


def test_a_changed_word_is_a_new_version() -> None:
    # Whoever changes a word raises the version and puts its digest here.
    assert WORDINGS.identity == "2-c2457f4673a2"
    changed = TemplateSet(WORDINGS.version, {**WORDINGS.sources, "plain": "Other words."})
    assert changed.identity != WORDINGS.identity
