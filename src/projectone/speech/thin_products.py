"""Products of a few rows with a large weight matrix, as a decoder step makes them.

For such a product OpenBLAS first repacks the whole matrix, which takes several times as long as reading it. It does not
where a product is small; so the matrix is cut into pieces, and numpy makes a small product of each. Measured for eight
rows and whisper-tiny's vocabulary, on one thread of a Xeon: 10 ms instead of 21.

With one row OpenBLAS reads the matrix in four places at once, which is half as fast as reading it from beginning to
end, one dot product after the other. Measured on one thread of an AMD EPYC: 4 ms instead of 8. Two or three rows take
their dot products in turns, while a piece of the matrix is in the core's own cache.

Whoever multiplies by the same matrix again and again lays it out once (`PackedWeight`), as OpenBLAS would each time:
4 ms for eight rows instead of 11.
"""

from __future__ import annotations

import numpy as np

from projectone.speech.kernels import Floats

# OpenBLAS packs nothing up to about 100 * 100 * 100 multiplications (`sgemm_small_kernel_permit`, with AVX-512), and
# for more rows than this it packs whatever the size.
_UNPACKED, _MOST_ROWS = 1_000_000, 12
_MOST_COLUMNS, _FEWEST_COLUMNS = 64, 8
_FEWEST_PACKED = 16
# Up to so many rows, dot products are faster, with pieces of so many numbers, 400 kB.
_MOST_DOTS, _PIECE = 3, 100_000
# Up to so many rows, repacking the matrix as the right side of the product is cheaper than as the left one.
_MOST_TURNED = 32


def thin_product(x: Floats, weight: Floats) -> Floats:
    """``x @ weight.T``, whatever the sizes.

    Args:
        x: (rows, in).
        weight: (out, in), in one piece.

    Returns:
        (rows, out).
    """
    n_rows, n_in = x.shape
    if n_rows <= _MOST_DOTS:
        return _dots(x, weight)
    if n_rows > _MOST_TURNED:
        return x @ weight.T
    if n_rows > _MOST_ROWS or n_rows * n_in * _FEWEST_COLUMNS > _UNPACKED:
        return np.ascontiguousarray((weight @ x.T).T)
    # A power of two, which divides most sizes.
    step = min(_MOST_COLUMNS, 1 << ((_UNPACKED // (n_rows * n_in)).bit_length() - 1))
    made = np.empty((n_rows, weight.shape[0]), np.float32)
    n_even = weight.shape[0] // step * step
    pieces = weight[:n_even].reshape(-1, step, n_in).transpose(0, 2, 1)
    np.matmul(x, pieces, out=made[:, :n_even].reshape(n_rows, -1, step).transpose(1, 0, 2))
    np.matmul(x, weight[n_even:].T, out=made[:, n_even:])
    return made


def _dots(x: Floats, weight: Floats) -> Floats:
    """``x @ weight.T``, one number after the other."""
    made = np.empty((len(x), len(weight)), np.float32)
    step = len(weight) if len(x) == 1 else max(1, _PIECE // weight.shape[1])
    for first in range(0, len(weight), step):
        rows = slice(first, first + step)
        np.vecdot(x[:, None], weight[rows], out=made[:, rows])
    return made


class PackedWeight:
    """A copy of a weight matrix, laid out for products with a few rows.

    Args:
        weight: (out, in).
        n_rows: Rows of a product at most; more are multiplied, too, but slower.
    """

    def __init__(self, weight: Floats, n_rows: int) -> None:
        self._n_out, n_in = weight.shape
        fitting = _UNPACKED // (n_rows * n_in)
        self._width = max(_FEWEST_PACKED, min(_MOST_COLUMNS, 1 << max(0, fitting.bit_length() - 1)))
        n_even = self._n_out // self._width * self._width
        self._pieces = np.ascontiguousarray(weight[:n_even].reshape(-1, self._width, n_in).transpose(0, 2, 1))
        self._rest = weight[n_even:].T

    def product(self, x: Floats) -> Floats:
        """``x @ weight.T``: (rows, in) to (rows, out)."""
        made = np.empty((len(x), self._n_out), np.float32)
        n_even = len(self._pieces) * self._width
        places = made[:, :n_even].reshape(len(x), -1, self._width).transpose(1, 0, 2)
        np.matmul(x, self._pieces, out=places)
        np.matmul(x, self._rest, out=made[:, n_even:])
        return made
