from tests.fakes.tiny_whisper import say, tiny_checkpoint

from projectone.server.training.batching import PlannedBatch
from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import ExampleBuilder, TrainingClip
from projectone.server.training.features import BatchMaker
from projectone.server.training.prompts import with_previous_text

TOKENIZER = tiny_checkpoint().tokenizer


def clip(clip_id: str, text: str, speaker: str, previous_text: str | None = None) -> TrainingClip:
    return TrainingClip(clip_id, say(text), text, speaker, previous_text)


def shown(*clips: TrainingClip) -> list[str]:
    examples, _ = ExampleBuilder(tiny_checkpoint(), language="en").build(clips)
    return [TOKENIZER.decode(example.previous).strip() for example in with_previous_text(examples)]


def test_what_the_same_person_said_last_is_the_prompt() -> None:
    clips = [clip("1", "red", "ann"), clip("2", "blue", "bob"), clip("3", "green", "ann"), clip("4", "black", "ann")]
    assert shown(*clips) == ["", "", "red", "green"]


def test_a_known_previous_text_goes_before_the_order_of_the_clips() -> None:
    assert shown(clip("1", "red", "ann"), clip("2", "blue", "ann", "black black")) == ["", "black black"]


def test_people_of_whom_nothing_is_known_share_no_prompt() -> None:
    assert shown(clip("1", "red", "unknown"), clip("2", "blue", "unknown")) == ["", ""]


def test_a_share_of_the_windows_gets_its_prompt() -> None:
    builder = ExampleBuilder(tiny_checkpoint(), language="en")
    examples, _ = builder.build([clip("1", "red", "ann"), clip("2", "blue green", "ann")])
    examples = with_previous_text(examples)

    def n_prompted(share: float | None) -> int:
        maker = BatchMaker(builder, examples, TrainingConfig(prompt_share=share))
        batches = [maker.make(step, PlannedBatch(0, (1,), 0)) for step in range(60)]
        for batch in batches:
            assert " blue green" in TOKENIZER.decode(batch.targets.tolist())
            assert "red" not in TOKENIZER.decode(batch.targets.tolist())
        return sum(TOKENIZER.sot_prev in batch.tokens[0].tolist() for batch in batches)

    assert n_prompted(1) == 60
    assert 15 < n_prompted(0.5) < 45
    assert n_prompted(0) == 0
    assert n_prompted(None) == 0  # a small vocabulary of our own, which never saw prompts


def test_published_models_keep_their_prompts_and_their_silence_by_default() -> None:
    config = TrainingConfig()
    assert config.prompt_share_for(51_865) == 0.1
    assert config.negatives_share_for(51_864) == 0.03
    assert config.negatives_share_for(1534) == 0
    assert TrainingConfig(negatives_share=0).negatives_share_for(51_865) == 0
