"""`python -m starter.train --data ../shared/data --out models/starter`: trains the starter model.

Needs PyTorch (the `parity` extra). Stop it with Ctrl-C and start it again with the same arguments: it goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from projectone.server.training.memory import keep_freed_memory
from starter.batches import Batch, Drawer, Mixture, stream
from starter.data import (
    DEV_SPEAKERS,
    HEARD_DIGIT_SPEAKERS,
    PHONEMES,
    TEST_SPEAKERS,
    Clip,
    accented_digits,
    load_clips,
    read_sentences,
    spelled_names,
    synthetic_clips,
)
from starter.export import export
from starter.judge import judge
from starter.losses import losses_of
from starter.model import Shape, Student
from starter.splice import align_clips, cut_words, spliced_clips
from starter.state import Average, Progress, load_run, save_run
from starter.text import DIGITS
from starter.vocabulary import Vocabulary, build_vocabulary


@dataclass(frozen=True)
class Settings:
    """What a run is: the model card repeats it."""

    data: Path
    out: Path
    work: Path
    minutes: float
    seed: int
    threads: int
    peak_rate: float
    n_synthetic: int
    full_window: float
    warm_from: Path | None


def settings_of(arguments: Sequence[str] | None) -> Settings:
    """Read the command line; None is that of this process."""
    parser = argparse.ArgumentParser(prog="python -m starter.train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with an4, speechocean762, fsdd and text")
    parser.add_argument("--out", type=Path, required=True, help="where the checkpoint goes")
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="where the run is kept")
    parser.add_argument("--minutes", type=float, default=80.0, help="how long to train, resumed time included")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak-rate", type=float, default=1.5e-3, help="learning rate after the warm-up")
    parser.add_argument("--synthetic", type=int, default=7000, help="clips by synthetic voices")
    parser.add_argument("--full-window", type=float, default=0.05, help="share of batches padded to the whole window")
    parser.add_argument("--warm-from", type=Path, help="a run's folder whose weights to start from")
    got = parser.parse_args(arguments)
    return Settings(
        got.data, got.out, got.work, got.minutes, got.seed, got.threads, got.peak_rate, got.synthetic,
        got.full_window, got.warm_from,
    )  # fmt: skip


@dataclass(frozen=True)
class Material:
    """Everything a run reads, loaded."""

    pools: dict[str, list[Clip]]
    dev: list[Clip]
    digits: list[Clip]
    vocabulary: Vocabulary


def gather(settings: Settings) -> Material:
    """Load the recordings, make the synthetic voices, learn the tokenizer."""
    an4 = load_clips(settings.data / "an4")
    heard = [clip for clip in an4 if clip.speaker not in DEV_SPEAKERS | TEST_SPEAKERS]
    sentences = read_sentences(settings.data / "text" / "prompts")
    synthetic = synthetic_clips(
        settings.n_synthetic, sentences=sentences, names=spelled_names(heard, sentences), seed=settings.seed
    )
    digits = load_clips(settings.data / "fsdd")
    foreign = load_clips(settings.data / "speechocean762")
    pools = {
        "an4": heard,
        "fsdd": [clip for clip in digits if clip.speaker in HEARD_DIGIT_SPEAKERS],
        "speechocean762": foreign,
        "foreign": [clip for clip in foreign if not set(DIGITS).isdisjoint(clip.text.split())],
        "synthetic": synthetic,
        "accented": accented_digits(settings.n_synthetic // 2, seed=settings.seed),
    }
    return Material(
        pools,
        [clip for clip in an4 if clip.speaker in DEV_SPEAKERS],
        [clip for clip in digits if clip.speaker not in HEARD_DIGIT_SPEAKERS][::2],
        build_vocabulary(sentences, seed=settings.seed),
    )


def _rate(settings: Settings, progress: Progress) -> float:
    warm_up = min(1.0, (progress.step + 1) / 400)
    share = min(1.0, progress.spent_s / (60 * settings.minutes))
    return settings.peak_rate * warm_up * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


EASY_SHARES = {"an4": 0.35, "synthetic": 0.65}
SHARES = {"an4": 0.30, "spliced": 0.27, "fsdd": 0.12, "accented": 0.14, "speechocean762": 0.03, "synthetic": 0.14}
N_EASY_GROUPS = 130
# Every so often the words of the recordings are cut out anew, better than before, and spliced.
N_SPLICE_GROUPS = 150
N_SPLICED = 4000


class Run:
    """One training run: student, average, optimiser, progress and log."""

    def __init__(self, settings: Settings, material: Material) -> None:
        self.settings, self.material = settings, material
        self.shape = Shape(n_vocab=material.vocabulary.size)
        self.student = Student(self.shape, n_pieces=material.vocabulary.n_base, n_phonemes=len(PHONEMES))
        self.average = Average(self.student, decay=0.999)
        matrices = [p for p in self.student.parameters() if p.requires_grad and p.ndim > 1]
        vectors = [p for p in self.student.parameters() if p.requires_grad and p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.03}, {"params": vectors, "weight_decay": 0.0}],
            lr=settings.peak_rate, betas=(0.9, 0.98), fused=True,
        )  # fmt: skip
        self.progress = Progress()
        if (settings.work / "run.safetensors").is_file():
            self.progress = load_run(settings.work, self.student, self.average, self.optimizer)
        elif settings.warm_from is not None:
            load_run(settings.warm_from, self.student, self.average, None)

    def keep(self) -> None:
        """Write the run and the checkpoint of its average."""
        save_run(self.settings.work, self.student, self.average, self.optimizer, self.progress)
        export(self.average.weights, self.shape, self.material.vocabulary, self.settings.out)

    def splice(self) -> None:
        """Cut the training speakers' words out with the average's ears, and put them together anew."""
        own = {name: value.clone() for name, value in self.student.state_dict().items()}
        self.student.load_state_dict(self.average.weights)
        pools = self.material.pools
        for name in ("an4", "fsdd", "foreign"):
            pools[name] = align_clips(self.student, pools[name])
        self.student.load_state_dict(own)
        seed = self.settings.seed + self.progress.group
        # Of the foreign speakers only the digits: their other words are not of this domain.
        words = cut_words(pools["an4"]) | cut_words(pools["foreign"], only=DIGITS)
        pools["spliced"] = spliced_clips(words, N_SPLICED, seed=seed)

    def judge(self) -> dict[str, float]:
        """Word error rates of the average on speakers never heard."""
        own = {name: value.clone() for name, value in self.student.state_dict().items()}
        self.student.load_state_dict(self.average.weights)
        dev = judge(self.student, self.material.vocabulary, self.material.dev)
        digits = judge(self.student, self.material.vocabulary, self.material.digits)
        self.student.load_state_dict(own)
        return {"dev_wer": round(dev.wer, 4), "digits_wer": round(digits.wer, 4)}

    def log(self, **values: float) -> None:
        """One line of JSON in the run's log, and the progress line."""
        line = json.dumps({"step": self.progress.step, "minutes": round(self.progress.spent_s / 60, 2), **values})
        with (self.settings.work / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        print(line, file=sys.stderr, flush=True)


def _drawers(run: Run) -> Callable[[int], Drawer]:
    """The drawer of each group: short and easy clips first, then everything."""
    easy = Mixture(EASY_SHARES, full_window=0.0, joined=0.0, masked=0.2, longest_s=2.2)
    # The whole window is dear, and what every other implementation feeds: it comes last.
    is_late = run.progress.spent_s > 0.7 * 60 * run.settings.minutes
    every = Mixture(SHARES, full_window=run.settings.full_window * (3 if is_late else 1))
    drawers = [
        Drawer(run.material.pools, run.material.vocabulary, mixture, run.settings.seed) for mixture in (easy, every)
    ]
    return lambda group: drawers[group >= N_EASY_GROUPS]


def _batches(run: Run) -> Iterator[Batch]:
    """Batches without end; the spliced clips are made again now and then."""
    while True:
        group = run.progress.group
        if group >= N_EASY_GROUPS:
            run.splice()
        until = (group // N_SPLICE_GROUPS + 1) * N_SPLICE_GROUPS if group >= N_EASY_GROUPS else N_EASY_GROUPS
        batches = stream(_drawers(run), first_group=group, end_group=until)
        for number, batch in batches:
            run.progress.group = number
            yield batch
        run.progress.group = until


def train(run: Run) -> None:
    """Train until the time is spent."""
    settings, progress = run.settings, run.progress
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed + progress.step)
    sums, n_summed = [0.0] * 5, 0
    judged_s = kept_s = progress.spent_s
    run.student.train()
    for batch in _batches(run):
        started = time.monotonic()
        losses = losses_of(run.student, batch, smoothing=0.1)
        total = losses.decoder + 0.4 * losses.pieces + 0.3 * losses.phonemes + losses.labels + 0.3 * losses.listening
        for options in run.optimizer.param_groups:
            options["lr"] = _rate(settings, progress)
        run.optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(run.student.parameters(), 1.0)
        run.optimizer.step()
        progress.step += 1
        run.average.update(run.student, progress.step)
        for index, loss in enumerate((losses.decoder, losses.pieces, losses.phonemes, losses.labels, losses.listening)):
            sums[index] += float(loss.detach())
        n_summed += 1
        progress.spent_s += time.monotonic() - started
        if n_summed == 50:
            names = ("decoder", "pieces", "phonemes", "labels", "listening")
            run.log(**{name: round(value / n_summed, 4) for name, value in zip(names, sums, strict=True)})
            sums, n_summed = [0.0] * 5, 0
        if progress.spent_s - judged_s > 300:
            judged_s = progress.spent_s
            run.log(**run.judge())
        if progress.spent_s - kept_s > 120:
            kept_s = progress.spent_s
            run.keep()
        if progress.spent_s > 60 * settings.minutes:
            break


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status."""
    settings = settings_of(arguments)
    settings.work.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    torch.manual_seed(settings.seed)
    run = Run(settings, gather(settings))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` keeps the run too
    try:
        train(run)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        run.keep()
        return 130
    run.keep()
    run.log(**run.judge())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
