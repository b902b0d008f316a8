"""The networks of voices compute what PyTorch computes with the same weights, and hear what librosa hears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from projectone.server.voices.activity import WINDOW, SpeakerActivity
from projectone.server.voices.embedding import VoiceEncoder, mel_bands
from projectone.server.voices.installed import HOW_TO_INSTALL
from projectone.server.voices.weights import TURNS, VOICES, WeightsFile, find_weights

torch = pytest.importorskip("torch")
functional = torch.nn.functional


def weights(file: WeightsFile) -> Path:
    path = find_weights(file)
    if path is None:
        pytest.skip(f"the networks of voices are not installed: {HOW_TO_INSTALL}")
    return path


def a_voice(n: int) -> np.ndarray:
    """Something with a pitch that moves, in a little noise."""
    time_s = np.arange(n) / 16_000
    turns = np.cumsum(150 + 40 * np.sin(2 * np.pi * 0.7 * time_s)) / 16_000
    sung = sum(np.sin(2 * np.pi * turns * k) / k for k in range(1, 20)) * (0.2 + np.sin(2 * np.pi * 1.5 * time_s) ** 2)
    noise = np.random.default_rng(1).standard_normal(n)
    return (0.1 * sung + 0.002 * noise).astype(np.float32)


def test_mel_bands_are_those_of_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    samples = a_voice(32_000)
    theirs = librosa.feature.melspectrogram(y=samples, sr=16_000, n_fft=400, hop_length=160, n_mels=40).T
    ours = mel_bands(samples)
    np.testing.assert_allclose(ours, theirs[: len(ours)], rtol=2e-3, atol=1e-6)


def test_the_encoder_is_the_one_whose_names_are_in_the_file() -> None:
    """By the names of the file's own state, read by PyTorch's restricted loader, not by places in it."""
    path = weights(VOICES)
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    lstm = torch.nn.LSTM(40, 256, 3, batch_first=True)
    lstm.load_state_dict({name.removeprefix("lstm."): v for name, v in state.items() if name.startswith("lstm.")})
    stretches = np.random.default_rng(2).gamma(0.3, 0.1, (3, 160, 40)).astype(np.float32)
    with torch.no_grad():
        _, (hidden, _) = lstm(torch.from_numpy(stretches))
        numbers = torch.relu(hidden[-1] @ state["linear.weight"].T + state["linear.bias"])
        theirs = functional.normalize(numbers, dim=1).numpy()
    np.testing.assert_allclose(VoiceEncoder(path)._encode(stretches), theirs, atol=1e-5)


def test_who_speaks_when_is_what_pytorch_says_with_the_same_arrays() -> None:
    network = SpeakerActivity(weights(TURNS))
    arrays = {name: torch.from_numpy(array.copy()) for name, array in network._arrays.items()}
    windows = np.stack([a_voice(WINDOW), a_voice(2 * WINDOW)[WINDOW:]])
    with torch.no_grad():
        theirs = by_pytorch(torch.from_numpy(windows), arrays, torch.from_numpy(network._filters)).numpy()
    ours = network(windows)
    assert ours.shape == (2, 293, 3)
    assert ours.max() > 0.5, "somebody speaks"
    np.testing.assert_allclose(ours, theirs, atol=1e-3)  # where a channel hardly moves, its last digits count


def by_pytorch(windows: Any, arrays: dict[str, Any], filters: Any) -> Any:
    """PyanNet in PyTorch's own operations."""
    found = functional.instance_norm(windows[:, None], weight=arrays["scale"], bias=arrays["offset"])
    found = functional.conv1d(found, filters.T[:, None], stride=10).abs()
    for number in range(3):
        if number:
            kernel = arrays[f"kernel{number}"].reshape(60, -1, 5)
            found = functional.conv1d(found, kernel, arrays[f"bias{number}"])
        found = functional.max_pool1d(found, 3)
        found = functional.instance_norm(found, weight=arrays[f"norm{number}"], bias=arrays[f"shift{number}"])
        found = functional.leaky_relu(found)
    lstm = torch.nn.LSTM(60, 128, 4, bidirectional=True, batch_first=True)
    flat, at = arrays["recurrent"], 0
    names = [n for n in lstm._flat_weights_names if "weight" in n] + [
        n for n in lstm._flat_weights_names if "bias" in n
    ]
    for name in names:
        parameter = getattr(lstm, name)
        parameter.copy_(flat[at : at + parameter.numel()].reshape(parameter.shape))
        at += parameter.numel()
    found, _ = lstm(found.transpose(1, 2))
    for number in range(2):
        dense = arrays[f"dense{number}"].reshape(128, -1)
        found = functional.leaky_relu(found @ dense.T + arrays[f"dense_bias{number}"])
    return torch.sigmoid(found @ arrays["people"].reshape(3, 128).T + arrays["people_bias"])
