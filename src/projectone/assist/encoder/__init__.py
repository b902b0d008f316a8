"""BERT, from words to one vector for each sentence. Loads the fast BLAS before mlx."""

import projectone.speech.blas  # noqa: F401 - must come before anything that imports mlx
