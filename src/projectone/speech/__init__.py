"""Whisper in MLX: arrays in, arrays out. Importing it loads a fast BLAS before mlx."""

from projectone.speech.blas import load_blas

load_blas()
