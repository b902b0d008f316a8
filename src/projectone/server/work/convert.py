"""`projectone-server convert`: a model folder in the layout that another program opens."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from projectone.errors import ConversionError
from projectone.server.settings import ServerSettings
from projectone.server.work.references import resolve_model
from projectone.speech.checkpoint import load_checkpoint, save_checkpoint
from projectone.speech.mlx_whisper import has_published_vocabulary, save_mlx_whisper
from projectone.storage.files import building_directory

SUMMARY = "Write a model in the layout of transformers (and of this project) or of mlx-whisper."
EXAMPLES = """  projectone-server convert --model out/tuned --to mlx-whisper --out out/tuned-mlx
  projectone-server convert --model starter --to transformers --dtype float32 --out out/starter-f32"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own options."""
    parser.add_argument("--model", required=True, help="folder, `starter`, or owner/name[@revision] on the Hub")
    parser.add_argument("--to", required=True, choices=("transformers", "mlx-whisper"), help="the layout to write")
    parser.add_argument("--out", required=True, type=Path, help="a folder that does not exist yet")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="of the weights on disk")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Read, check, write; the folder appears whole or not at all."""
    checkpoint = load_checkpoint(resolve_model(arguments.model, settings))
    if arguments.to == "mlx-whisper" and not has_published_vocabulary(checkpoint):
        # It would run there and write nonsense: mlx-whisper picks its own vocabulary by the number of tokens.
        raise ConversionError(
            f"{arguments.model!r} has a vocabulary of its own ({checkpoint.dims.n_vocab} tokens); mlx-whisper reads "
            "only those of the published models. Start from a published Whisper checkpoint to use it there"
        )
    save = save_mlx_whisper if arguments.to == "mlx-whisper" else save_checkpoint
    with building_directory(arguments.out) as folder:
        save(checkpoint, folder, dtype=arguments.dtype)
    written = {path.name: path.stat().st_size for path in sorted(arguments.out.iterdir())}
    if arguments.json:
        print(json.dumps({"out": str(arguments.out), "to": arguments.to, "files": written}))
    else:
        print(f"wrote {arguments.out} for {arguments.to}: {', '.join(written)}", file=sys.stderr)
    return 0
