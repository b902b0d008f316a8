"""Language models on this machine. Loads the fast BLAS before mlx."""

import projectone.speech.blas  # noqa: F401 - must come before anything that imports mlx
