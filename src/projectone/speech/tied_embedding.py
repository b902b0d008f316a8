"""The decoder's embedding at both ends of a text: looked up at the beginning, asked for the next token in the end.

Its gradient has two parts. That of the end is as large as the embedding itself, 80 MB in whisper-tiny; that of the
beginning has a few rows. Written plainly both are made in full and added; on a CPU the rows are added to the other
where it lies, and the scores of all tokens turn into exponentials, and these into slopes, where they lie. Nobody else
ever sees either array.
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from projectone.speech.ops import cross_entropy, goes_through_numpy


def looked_up(weight: mx.array, tokens: mx.array) -> tuple[mx.array, mx.array]:
    """The rows of tokens, and the weight again: what follows has to use that one, and then the gradients meet here.

    Args:
        weight: (vocab, state).
        tokens: (batch, tokens).
    """
    if not goes_through_numpy(weight):
        return weight[tokens], weight

    def values(weight: mx.array) -> tuple[mx.array, mx.array]:
        return weight[tokens], weight

    def gradient(
        _weight: mx.array, cotangents: tuple[mx.array, mx.array], _made: tuple[mx.array, mx.array]
    ) -> mx.array:
        of_rows, of_weight = cotangents
        whole = mx.contiguous(of_weight)  # as it is, unless it is a single number that stands for all
        rows, slopes = np.asarray(whole), np.asarray(of_rows).reshape(-1, weight.shape[1])
        for token, slope in zip(np.asarray(tokens).reshape(-1), slopes, strict=True):
            rows[token] += slope
        return whole

    function = mx.custom_function(values)
    function.vjp(gradient)
    rows, same = function(weight)
    return rows, same


def next_token_nats(hidden: mx.array, weight: mx.array, targets: mx.array) -> mx.array:
    """Nats of each target, (targets,), float32: as `cross_entropy` of the scores ``hidden @ weight.T``.

    Args:
        hidden: States after which the targets follow, (targets, state).
        weight: (vocab, state).
        targets: (targets,).
    """
    if not (goes_through_numpy(weight) and hidden.dtype == mx.float32):
        return cross_entropy((hidden @ weight.T).astype(mx.float32), targets)
    wanted = np.asarray(targets)
    places = np.arange(wanted.size), wanted
    # What the forward pass leaves for the gradient: exponentials of the scores, and each row's sum of them.
    kept: list[tuple[mx.array, np.ndarray]] = []

    def values(hidden: mx.array, weight: mx.array) -> mx.array:
        made = hidden @ weight.T
        scores, (highest, sums) = np.asarray(made), np.empty((2, wanted.size), np.float32)
        of_targets = scores[places]
        for row, numbers in enumerate(scores):
            highest[row] = numbers.max()
            numbers -= highest[row]
            np.exp(numbers, out=numbers)
            sums[row] = numbers.sum()
        kept.append((made, sums))
        return mx.array(highest + np.log(sums) - of_targets)

    def gradient(primals: tuple[mx.array, mx.array], cotangent: mx.array, _nats: mx.array) -> tuple[mx.array, mx.array]:
        made, sums = kept.pop()
        shares, slopes = np.asarray(made), np.asarray(cotangent)
        for row, share in zip(shares, slopes / sums, strict=True):
            row *= share
        shares[places] -= slopes
        # Not evaluated here: of an embedding that is frozen nobody asks the second.
        return made @ primals[1], made.T @ primals[0]

    function = mx.custom_function(values)
    function.vjp(gradient)
    nats: mx.array = function(hidden, weight)
    return nats
