"""Real sound through saved packages, in float16 as a phone computes: whether it writes what the model writes.

`verification` asks with made-up sound and tokens when a folder is written. Here it is the golden set's: a fine-tune
whose numbers leave float16 on real speech alone, or whose spectrogram hears otherwise, is found by this.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.contract import DECODER, ENCODER, MEL
from projectone.server.conversion.coreml.interpreter import Interpreter
from projectone.server.conversion.coreml.reading import read_package
from projectone.server.conversion.coreml.unpacking import load_whisperkit
from projectone.server.conversion.coreml.verification import replay_loop
from projectone.speech.audio import log_mel
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.forced import written_tokens
from projectone.speech.prefix import decoder_prefix

LEAST_ALIKE = 0.95
"""Share of tokens that must be the likeliest ones in the packages too; rounding alone flips fewer."""

_MOST_TOKENS = 48  # of a clip: a step takes as long as a phone's whole clip
Samples = npt.NDArray[np.float32]


def refuse_other_words(folder: Path, clips: Sequence[Samples], *, language: str = "en") -> tuple[int, int]:
    """Run each clip through the packages, and give how many of how many tokens come out as in the model they hold.

    Args:
        folder: A WhisperKit folder.
        clips: One channel at 16 kHz each; what is longer than a window is cut.
        language: That is spoken.

    Raises:
        ConversionError: if too many differ, or a result is not finite in float16, naming the operation.
    """
    checkpoint = load_whisperkit(folder)
    spectrogram, encoder = (Interpreter(read_package(folder / f"{name}.mlpackage")) for name in (MEL, ENCODER))
    graph = read_package(folder / f"{DECODER}.mlpackage")
    decoder = Interpreter(graph)
    n_alike = n_tokens = 0
    for clip in clips:
        window = np.zeros(checkpoint.features.n_samples, np.float32)
        window[: min(clip.size, window.size)] = clip[: window.size]
        tokens, first = _written(checkpoint, window, language)
        mel = spectrogram(audio=window)["melspectrogram_features"]
        features = encoder(melspectrogram_features=mel)["encoder_output_embeds"]
        scores, _ = replay_loop(decoder, graph.contract, np.array(tokens[:-1], np.int32), features)
        likeliest = _allowed(scores[first - 1 :], checkpoint).argmax(axis=1)
        n_alike += int((likeliest == tokens[first:]).sum())
        n_tokens += len(tokens) - first
    if n_alike < LEAST_ALIKE * n_tokens:
        raise ConversionError(
            f"whisperkit: on real sound {n_alike} of {n_tokens} tokens come out as in the model, expected "
            f"{LEAST_ALIKE:.0%} or more"
        )
    return n_alike, n_tokens


def _written(checkpoint: WhisperCheckpoint, window: Samples, language: str) -> tuple[list[int], int]:
    """What the model writes in float32, its opening and its end with it, and where the opening ends."""
    opening = decoder_prefix(checkpoint.tokenizer, language=language, timestamps=False)
    mel = log_mel(window, checkpoint.dims.n_mels)
    n_most = min(_MOST_TOKENS, checkpoint.dims.n_text_ctx - len(opening) - 1)
    written = written_tokens(checkpoint, mel, language=language, n_most=n_most)
    end = [checkpoint.tokenizer.eot] if len(written) < n_most else []
    return [*opening, *written, *end], len(opening)


def _allowed(scores: npt.NDArray[np.float32], checkpoint: WhisperCheckpoint) -> npt.NDArray[np.float32]:
    """Scores without what is never written: WhisperKit is told the same tokens (`decoding` of the manifest)."""
    generation = checkpoint.generation
    allowed = scores.copy()
    allowed[:, list(generation.suppress_tokens)] = -np.inf
    allowed[:1, list(generation.begin_suppress_tokens)] = -np.inf
    allowed[:, checkpoint.tokenizer.no_timestamps + 1 :] = -np.inf  # timestamps, which were not asked for
    return allowed
