"""What a card says of a family of models, apart from the facts about one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from projectone.contracts.versions import Family


@dataclass(frozen=True, kw_only=True)
class CardWords:
    """The words of one family.

    Attributes:
        what: What the model is, in a sentence.
        task: As the Hub calls it.
        tags: For whoever looks for one.
        rates: Of the report's two error rates: the metric's type, its name, and what its row is called; those that say
            nothing of their own are left out.
        items: What a set holds.
        intended_use: For what and for whom.
        limits: What it is not good for.
    """

    what: str
    task: str
    tags: tuple[str, ...]
    rates: tuple[tuple[str, str, str], ...]
    items: str
    intended_use: str
    limits: str


_SPEECH = CardWords(
    what="A Whisper-architecture speech recognition model for on-device use, in the Hugging Face layout.",
    task="automatic-speech-recognition",
    tags=("whisper", "automatic-speech-recognition", "on-device"),
    rates=(("wer", "WER", "words (WER)"), ("cer", "CER", "characters (CER)")),
    items="recordings",
    intended_use="""\
Transcription of short recordings on the speaker's own device, in the language and domain of its base model. The model
was adapted to corrections that its users sent with consent, so it fits those users' voices and words best.
""",
    limits="""\
- The scores hold for the golden set named above. Recordings from other rooms, microphones, accents or domains may fare
  worse; small slices have wide intervals.
- Whisper-style models can write words that nobody said, above all in silence and noise.
- Where a slice has no row, nothing is known about it. A rate over fewer than a few hundred words says little.
- Do not use it to identify speakers, to judge people, or where a wrong word can do harm and nobody reads the text.
""",
)

_INTENTS = CardWords(
    what=(
        "A small classifier for on-device use that says which of a closed set of intents a sentence has, or that it "
        "has none of them: a BERT in eight bits and a direction for each label."
    ),
    task="text-classification",
    tags=("bert", "text-classification", "intents", "on-device"),
    rates=(("wer", "intent error rate", "answers (intent error rate)"),),
    items="sentences",
    intended_use="""\
Saying what is meant in a short sentence, on the speaker's own device, among the labels in `classifier.json`. It was
taught from examples and from intents that its users corrected with consent.
""",
    limits="""\
- The scores hold for the golden set named above. Sentences of other people, products or languages may fare worse.
- A sentence that has two intents gets one of them. What has none is not always called so.
- Probabilities were measured on sentences like those it was taught with; elsewhere they are less true.
- Do not use it to judge people, or where a wrong answer can do harm and nobody looks.
""",
)

_SAFETY = CardWords(
    what=(
        "A small safety classifier for on-device use that raises an alarm at texts of one label: a BERT in eight bits, "
        "a direction for each label it was taught, and the probability from which on it warns."
    ),
    task="text-classification",
    tags=("bert", "text-classification", "safety", "on-device"),
    rates=(("wer", "alarm error rate", "alarms (missed, or raised without need)"),),
    items="texts",
    intended_use="""\
Reading what is asked of an assistant before it is answered, and what a language model wrote before it is shown, on the
speaker's own device. It was taught from texts that whoever runs the server had labelled; nothing of its users is in it.
""",
    limits="""\
- The scores hold for the golden set named above, and what counts as harmful there is its annotators' word. Texts of
  other people, products or languages may fare worse; ways of speaking that the set lacks may be warned of without need.
- It misses some of what it is to warn of, and its users can tell nobody of a false alarm.
- Do not use it to judge people, or as the only thing between a text and harm.
""",
)

CARD_WORDS: Mapping[Family, CardWords] = {"speech": _SPEECH, "intents": _INTENTS, "safety": _SAFETY}
