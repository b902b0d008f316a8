"""A language model of random weights that is made in milliseconds: a real folder for mlx-lm, and its server."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

_WIDTH, _N_LAYERS, _N_HEADS, _HIDDEN = 32, 2, 4, 64
_TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}<assistant>"


def make_tiny_language_model(folder: Path, *, seed: int = 0) -> Path:
    """A llama of two layers that knows bytes."""
    folder.mkdir(parents=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<s>", "</s>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": "<s>",
                "eos_token": "</s>",
                "chat_template": _TEMPLATE,
            }
        )
    )
    config = {
        "model_type": "llama",
        "hidden_size": _WIDTH,
        "num_hidden_layers": _N_LAYERS,
        "intermediate_size": _HIDDEN,
        "num_attention_heads": _N_HEADS,
        "rms_norm_eps": 1e-5,
        "vocab_size": len(vocabulary),
        "tie_word_embeddings": True,
        "eos_token_id": 1,
        "bos_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    is_letter = np.array([(token.isascii() and token.isalpha()) or token == "Ġ" for token in vocabulary])
    save_file(_weights(is_letter, seed), str(folder / "model.safetensors"), metadata={"format": "mlx"})
    return folder


def _weights(is_letter: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return draw.normal(0, 0.4, shape).astype(np.float32)

    # A token whose row is nothing is hardly ever written: what comes are letters and spaces, which can be read.
    words = matrix(len(is_letter), _WIDTH) * is_letter[:, None].astype(np.float32)
    weights = {"model.embed_tokens.weight": words, "model.norm.weight": np.ones(_WIDTH, np.float32)}
    for layer in range(_N_LAYERS):
        head = f"model.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            weights[f"{head}.self_attn.{name}.weight"] = matrix(_WIDTH, _WIDTH)
        for name, shape in (("gate", (_HIDDEN, _WIDTH)), ("up", (_HIDDEN, _WIDTH)), ("down", (_WIDTH, _HIDDEN))):
            weights[f"{head}.mlp.{name}_proj.weight"] = matrix(*shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{head}.{name}.weight"] = np.ones(_WIDTH, np.float32)
    return weights


class MlxServer:
    """A real `mlx_lm.server` that serves a folder. `wait` before the first request."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        command = [sys.executable, "-m", "mlx_lm", "server", "--model", str(folder), "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def wait(self) -> None:
        """Until it answers."""
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health"):
                return
            assert self._process.poll() is None, f"mlx_lm.server did not start: {self._process.communicate()[1]}"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; again is no error."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.communicate(timeout=60)
