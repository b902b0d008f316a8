"""What the benchmarks share: turns between implementations, and random models that each of them can open."""

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded
