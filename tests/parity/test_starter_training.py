"""Training the starter model: what a run hears, how it goes on, and what it writes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import soundfile

from projectone.speech.checkpoint import load_checkpoint

torch = pytest.importorskip("torch", reason="parity needs the parity extra (torch, transformers)")

from safetensors.torch import load_file  # noqa: E402
from starter.batches import Drawer, Mixture  # noqa: E402
from starter.data import DEV_SPEAKERS, HEARD_DIGIT_SPEAKERS, TEST_SPEAKERS, Clip  # noqa: E402
from starter.export import export  # noqa: E402
from starter.losses import losses_of  # noqa: E402
from starter.model import Shape, Student  # noqa: E402
from starter.state import Average, Progress, load_run, save_run  # noqa: E402
from starter.train import Material, gather, main, settings_of  # noqa: E402
from starter.vocabulary import Vocabulary, load_vocabulary  # noqa: E402

pytestmark = pytest.mark.parity

STARTER = Path(__file__).resolve().parents[2] / "models" / "starter"
TINY = {"n_state": 64, "n_head": 2, "n_audio_layer": 2, "n_text_layer": 1}


def _tiny_student(vocabulary: Vocabulary, seed: int = 0) -> Student:
    torch.manual_seed(seed)
    return Student(Shape(vocabulary.size, **TINY), n_pieces=vocabulary.n_base, n_phonemes=44)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary(STARTER)


def _write_clips(folder: Path, rows: list[tuple[str, str]]) -> None:
    """Half a second of noise for each speaker and text."""
    folder.mkdir(parents=True)
    lines = []
    for index, (speaker, text) in enumerate(rows):
        noise = np.random.default_rng([index, *speaker.encode()]).normal(0, 3000, 8000).astype(np.int16)
        soundfile.write(folder / f"{index}.flac", noise, 16_000)
        lines.append(json.dumps({"audio": f"{index}.flac", "text": text, "speaker": speaker, "duration_s": 0.5}))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the real one, with two heard speakers and every speaker that is held out."""
    folder = tmp_path_factory.mktemp("data")
    held_out = sorted(DEV_SPEAKERS | TEST_SPEAKERS)
    _write_clips(folder / "an4", [(speaker, "six two") for speaker in ("fash", "mblb", *held_out)])
    _write_clips(folder / "fsdd", [(s, "six") for s in ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")])
    _write_clips(folder / "speechocean762", [("0001", "let's go")])
    prompts = folder / "text" / "prompts"
    prompts.mkdir(parents=True)
    (prompts / "harvard_sentences.txt").write_text("The birch canoe slid.\n", encoding="utf-8")
    (prompts / "cmu_arctic.tsv").write_text("a1\tAuthor of the danger trail.\n", encoding="utf-8")
    return folder


def _arguments(data: Path, root: Path) -> list[str]:
    run = ["--data", str(data), "--out", str(root / "out"), "--work", str(root / "work"), "--synthetic", "8"]
    return [*run, "--minutes", "0.0001", "--threads", "1"]  # over after one step


def _assert_only_heard(material: Material) -> None:
    by_pool = {name: {clip.speaker for clip in clips} for name, clips in material.pools.items()}
    assert not by_pool["an4"] & (DEV_SPEAKERS | TEST_SPEAKERS)
    assert by_pool["fsdd"] <= HEARD_DIGIT_SPEAKERS
    # Each recording that judges is in no pool under any name, not only its speaker.
    judging = {clip.sound.tobytes() for clip in (*material.dev, *material.digits)}
    assert judging
    for name, clips in material.pools.items():
        assert not judging & {clip.sound.tobytes() for clip in clips}, name
    assert {clip.speaker for clip in material.dev} <= DEV_SPEAKERS
    assert not {clip.speaker for clip in material.digits} & HEARD_DIGIT_SPEAKERS


def test_the_speakers_held_out_are_six_to_judge_by_and_four_to_watch_and_the_digits_of_three_are_heard() -> None:
    assert (len(TEST_SPEAKERS), len(DEV_SPEAKERS)) == (6, 4)
    assert not TEST_SPEAKERS & DEV_SPEAKERS
    assert {"jackson", "nicolas", "yweweler"} == HEARD_DIGIT_SPEAKERS


def test_no_held_out_speaker_is_in_any_pool(small_data: Path, tmp_path: Path) -> None:
    material = gather(settings_of(_arguments(small_data, tmp_path)))
    _assert_only_heard(material)
    assert {clip.speaker for clip in material.pools["an4"]} == {"fash", "mblb"}
    assert {clip.speaker for clip in material.pools["fsdd"]} == HEARD_DIGIT_SPEAKERS


@pytest.mark.slow
def test_no_held_out_speaker_of_the_real_recordings_is_in_any_pool(real_data: Path, tmp_path: Path) -> None:
    material = gather(settings_of(_arguments(real_data, tmp_path)))
    _assert_only_heard(material)
    assert len({clip.speaker for clip in material.pools["an4"]}) == 64


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_where_it_was(small_data: Path, tmp_path: Path) -> None:
    arguments = _arguments(small_data, tmp_path)
    assert main(arguments) == 0
    first = load_file(tmp_path / "work" / "run.safetensors")
    assert main(arguments) == 0
    second = load_file(tmp_path / "work" / "run.safetensors")
    steps = [int(run["optimizer.0.step"]) for run in (first, second)]
    assert steps == [1, 2]
    moved = float(
        (second["student.model.encoder.conv1.weight"] - first["student.model.encoder.conv1.weight"]).abs().max()
    )
    # A run that began anew would lie as far away as two random starts do.
    assert 0 < moved < 1e-3
    log = [json.loads(line) for line in (tmp_path / "work" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in log if "dev_wer" in line] == [1, 2]
    assert load_checkpoint(tmp_path / "out").dims.n_audio_ctx == 500


def test_what_is_loaded_again_takes_the_same_next_step(vocabulary: Vocabulary, tmp_path: Path) -> None:
    def with_optimizer(seed: int) -> tuple[Student, Average, torch.optim.Optimizer]:
        student = _tiny_student(vocabulary, seed).eval()  # dropout is drawn anew
        trained = [p for p in student.parameters() if p.requires_grad]
        return student, Average(student, decay=0.9), torch.optim.AdamW(trained, lr=1e-2)

    def step(student: Student, average: Average, optimizer: torch.optim.Optimizer, number: int) -> None:
        features, _ = student.model.encoder(torch.linspace(-1, 1, 40 * 80).reshape(1, 40, 80))
        optimizer.zero_grad()
        features.square().mean().backward()
        optimizer.step()
        average.update(student, number)

    student, average, optimizer = with_optimizer(0)
    for number in (1, 2):
        step(student, average, optimizer, number)
    save_run(tmp_path, student, average, optimizer, Progress(step=2, group=7, spent_s=3.5))
    step(student, average, optimizer, 3)

    other, other_average, other_optimizer = with_optimizer(1)
    progress = load_run(tmp_path, other, other_average, other_optimizer)
    assert asdict(progress) == {"step": 2, "group": 7, "spent_s": 3.5}
    step(other, other_average, other_optimizer, 3)
    for name, value in student.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
        assert torch.equal(average.weights[name], other_average.weights[name]), name


def test_an_exported_student_gives_the_same_scores_through_our_own_loader(
    vocabulary: Vocabulary, tmp_path: Path
) -> None:
    student = _tiny_student(vocabulary).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            # Half precision is what the file holds; scores of trained size, for small ones agree by being small.
            parameter.copy_((parameter * (3 if parameter.ndim > 1 else 1)).half().float())
    export(student.state_dict(), student.shape, vocabulary, tmp_path)
    random = np.random.default_rng(0)
    mel = random.normal(size=(2, 1000, 80)).astype(np.float32)
    tokens = random.integers(0, vocabulary.size, (2, 6))
    with torch.no_grad():
        features, _ = student.model.encoder(torch.from_numpy(mel))
        theirs = student.model.decoder(torch.from_numpy(tokens), features).numpy()
    ours = np.array(load_checkpoint(tmp_path).model(mx.array(mel), mx.array(tokens)))
    assert np.abs(theirs).max() > 5
    assert np.abs(ours - theirs).max() <= 1e-3


def test_training_lowers_every_loss_on_a_batch_seen_again_and_again(vocabulary: Vocabulary) -> None:
    sound = np.random.default_rng(0).normal(0, 3000, 9600).astype(np.int16)
    timed = Clip(sound, "six", "a", "", np.full(60, 5, dtype=np.int16), ((0.0, 0.6),))
    pools = {"timed": [timed], "plain": [Clip(sound, "two", "b", "tu")]}
    mixture = Mixture({"timed": 0.5, "plain": 0.5}, batch_frames=1200, full_window=0.0, silent=0.0)
    batch = next(Drawer(pools, vocabulary, mixture, 0).group(0))
    student = _tiny_student(vocabulary).train()
    optimizer = torch.optim.AdamW([p for p in student.parameters() if p.requires_grad], lr=3e-3)

    def values() -> list[torch.Tensor]:
        losses = losses_of(student, batch, smoothing=0.0)
        return [losses.decoder, losses.pieces, losses.phonemes, losses.labels, losses.listening]

    before = [float(loss.detach()) for loss in values()]
    for _ in range(30):
        optimizer.zero_grad()
        torch.stack(values()).sum().backward()
        optimizer.step()
    assert all(float(loss.detach()) < 0.7 * had for loss, had in zip(values(), before, strict=True))
