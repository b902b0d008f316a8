"""Model folders from strangers: what would run code when it is read is refused, and nothing runs."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.tiny_whisper import save_tiny

from projectone.errors import ProjectOneError
from projectone.speech.checkpoint import load_checkpoint

WEIGHTS = "model.safetensors"
N_DAMAGES = 10_000 if os.environ.get("PROJECTONE_FULL_HOSTILE") else 2_000
Spoil = Callable[[Path, bytes], None]


class Gadget:
    """Makes a folder as soon as somebody unpickles it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


def as_torch_archive(content: bytes) -> bytes:
    """The layout of `torch.save`: a ZIP with a pickle in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return stream.getvalue()


def instead(name: str, shape: Callable[[bytes], bytes] = bytes) -> Spoil:
    """The only weights are a pickle of that name."""

    def spoil(folder: Path, content: bytes) -> None:
        (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(shape(content))

    return spoil


def over(name: str, shape: Callable[[bytes], bytes] = bytes) -> Spoil:
    """A pickle in the place of a file that is read."""
    return lambda folder, content: (folder / name).write_bytes(shape(content)) and None


def behind(folder: Path, content: bytes) -> None:
    with (folder / WEIGHTS).open("ab") as weights:
        weights.write(as_torch_archive(content))


def with_a_header(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


REFUSED: dict[str, Spoil] = {
    **{
        f"instead of weights: {name}": instead(name)
        for name in ("pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "model.pkl", "weights.bin")
    },
    "a torch archive": instead("pytorch_model.bin", as_torch_archive),
    "a torch archive as .pt": instead("model.pt", as_torch_archive),
    "renamed to safetensors": over(WEIGHTS),
    "a torch archive renamed to safetensors": over(WEIGHTS, as_torch_archive),
    "behind a length": over(WEIGHTS, with_a_header),
    "a torch archive behind a length": over(WEIGHTS, lambda content: with_a_header(as_torch_archive(content))),
    "safetensors that are a ZIP as well": behind,
    "as the settings": over("config.json"),
}
NOT_READ: dict[str, Spoil] = {
    f"beside: {name}": over(name)
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "model.pkl", "modeling.py")
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "sound")


@pytest.mark.parametrize("name", [*REFUSED, *NOT_READ])
def test_of_twenty_models_that_would_run_code_none_does(name: str, sound: Path, tmp_path: Path) -> None:
    target, folder = tmp_path / "made-by-a-model", Path(shutil.copytree(sound, tmp_path / "model"))
    (REFUSED | NOT_READ)[name](folder, pickle.dumps(Gadget(target)))
    if name in REFUSED:
        with pytest.raises(ProjectOneError):
            load_checkpoint(folder)
    else:
        load_checkpoint(folder)
    assert not target.exists()


def test_they_are_twenty() -> None:
    assert len(REFUSED | NOT_READ) == 20


def test_control_who_unpickles_runs_them(tmp_path: Path) -> None:
    target = tmp_path / "made-by-a-model"
    pickle.loads(pickle.dumps(Gadget(target)))  # noqa: S301 - the damage that is looked for
    assert target.is_dir()


def test_a_damaged_header_of_weights_is_refused_or_harmless(sound: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "model"))
    whole = (sound / WEIGHTS).read_bytes()
    n_header = 8 + int.from_bytes(whole[:8], "little")
    random, n_refused = np.random.default_rng(0), 0
    for _ in range(N_DAMAGES):
        damaged = bytearray(whole)
        for _ in range(int(random.integers(1, 5))):
            damaged[int(random.integers(n_header))] = int(random.integers(256))
        (folder / WEIGHTS).write_bytes(damaged)
        try:
            load_checkpoint(folder)
        except ProjectOneError:
            n_refused += 1
    assert n_refused >= 0.9 * N_DAMAGES
