"""Terms of a list are written where the sound allows it, and nothing else changes.

A window is decoded without the list first. Where the list would have changed a token, it is decoded once more with it,
and each term that this brings is put in the place of the words it was heard as, alone. The model then says what both
texts are worth to it, without any lean: the term stays if it costs no more than a margin. So a beginning that led
nowhere leaves no trace, a word that is no term is never changed, and a term that nobody said is not written where the
model is sure of something else.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import mlx.core as mx
import numpy as np

from projectone.speech.biasing import BiasOptions, TermBias
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, DecodingResult, decode_features
from projectone.speech.logit_rules import logsumexp
from projectone.speech.prefix import decoder_prefix
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.wer import align

_STUB = 2
_MOST_ASKED = 12  # texts about one window
_MOST_IN_PREFIX = 6  # with the one that opens previous text, and end-of-text
_AT_ONCE = 4  # each holds the keys and values of the sound once more: 36 MB with whisper-base
_MOST_WAYS = 256
_OUTER = "\"'.,;:!?()[]«»“”„…-"


@dataclass(frozen=True)
class Proposal:
    """A term that could stand for some words of a text.

    Attributes:
        term: As it is to be written.
        start: First word that it replaces.
        end: The word after the last one; at least one word is replaced.
    """

    term: str
    start: int
    end: int


def write_terms(
    checkpoint: WhisperCheckpoint, features: mx.array, results: Sequence[DecodingResult], decoding: DecodingOptions
) -> list[DecodingResult]:
    """The results, with the terms of the list where they are likely enough.

    Args:
        checkpoint: The model.
        features: (rows, positions, state) of the windows.
        results: Of decoding them with `is_bias_watched`.
        decoding: The options of that, with a `bias`.
    """
    bias = decoding.bias
    # What was sampled was doubtful to begin with: a list would make it look like something.
    if bias is None or decoding.temperature != 0:
        return list(results)
    done = list(results)
    rows = [row for row, result in enumerate(results) if result.is_turned and result.temperature == 0]
    leaning = {}
    if rows:
        options = replace(decoding, is_bias_watched=False)
        picked = features[mx.array(rows)]
        leaning = dict(zip(rows, decode_features(checkpoint, picked, options), strict=True))
    for row, plain in enumerate(results):
        biased = leaning.get(row)
        if plain.temperature != 0:
            continue
        if decoding.timestamps or not bias.options.is_guarded:
            if biased is not None and (
                not bias.options.is_guarded or _is_allowed(plain, biased, bias, checkpoint.tokenizer)
            ):
                done[row] = replace(biased, terms=tuple(_terms_in(biased.text, bias.terms)))
            continue
        places = propose(plain.text, biased.text, bias.terms) if biased is not None else []
        places += [
            [Proposal(near.term, near.start, near.end)]
            for near in bias.near.find(plain.text.split(), bias.options.max_near)
        ]
        done[row] = _with_terms(checkpoint, features[row : row + 1], plain, places, decoding)
    return done


def propose(plain: str, biased: str, terms: Sequence[str]) -> list[list[Proposal]]:
    """For each term that the second text has and the first has not, the words that it could stand for.

    Args:
        plain: Heard without the list.
        biased: Heard with it.
        terms: The list.

    Returns:
        For each place, proposals that differ in how many words beside it the term swallows: those that the second text
        left out, and up to two more behind it, since what is misheard often leaves a stub.
    """
    before, after = [_bare(word) for word in plain.split()], [_bare(word) for word in biased.split()]
    # For each word of `after`, where it stands in `before`, and how many words are left out right before it.
    places: list[tuple[int, int]] = []
    left_out = [0] * (len(after) + 1)
    at = 0
    for edit in align(before, after):
        if edit.kind == "delete":
            left_out[len(places)] += 1
            at += 1
            continue
        places.append((at, at + (edit.kind != "insert")))
        at += edit.kind != "insert"
    found = []
    for term, first, last in _occurrences(after, terms):
        start, end = places[first][0], places[last - 1][1]
        most_right = min(len(before) - end, left_out[last] + _STUB)
        options = {(start - left, end + right) for left in {0, left_out[first]} for right in range(most_right + 1)}
        said, n_most = after[first:last], 2 * (last - first) + _STUB
        # A term in place of nothing was not heard as anything: too little to go by.
        choices = [Proposal(term, a, b) for a, b in sorted(options) if 0 < b - a <= n_most and before[a:b] != said]
        if choices and before[start:end] != said:
            found.append(choices)
    return found


def _with_terms(
    checkpoint: WhisperCheckpoint,
    features: mx.array,
    plain: DecodingResult,
    places: Sequence[Sequence[Proposal]],
    decoding: DecodingOptions,
) -> DecodingResult:
    """One window's text with those terms that cost no more than they may."""
    bias = decoding.bias
    assert bias is not None
    proposals = list(dict.fromkeys(proposal for choices in places for proposal in choices))[:_MOST_ASKED]
    if not proposals or "\ufffd" in plain.text:  # half a letter cannot be written again
        return plain
    words = plain.text.split()

    encode = checkpoint.tokenizer.encode
    texts = [encode(f" {_replaced(words, [proposal])}") for proposal in proposals]
    room = checkpoint.dims.n_text_ctx - _MOST_IN_PREFIX - len(decoding.previous_text)
    if max(map(len, texts)) > min(room, decoding.max_new_tokens - 1):
        return plain
    own, *others = _nats_of(checkpoint, features, [plain.tokens, *texts], plain.language, decoding)
    cost = dict(zip(proposals, (own - other for other in others), strict=True))
    cheapest = [min(asked, key=cost.__getitem__) for choices in places if (asked := [c for c in choices if c in cost])]
    chosen: list[Proposal] = []
    for choice in sorted(cheapest, key=lambda choice: cost[choice]):
        n_tokens = len(checkpoint.tokenizer.encode(f" {choice.term}"))
        is_free = all(choice.end <= other.start or other.end <= choice.start for other in chosen)
        if is_free and cost[choice] <= allowance(n_tokens, bias.options):
            chosen.append(choice)
    if not chosen:
        return plain
    chosen.sort(key=lambda choice: choice.start)
    text = _replaced(words, chosen)
    options = replace(decoding, temperature=0.0, bias=None)
    written = decode_features(checkpoint, features, options, forced=[encode(f" {text}")])[0]
    if written.text != text:
        return plain
    return replace(written, temperature=plain.temperature, terms=tuple(choice.term for choice in chosen))


def _nats_of(
    checkpoint: WhisperCheckpoint,
    features: mx.array,
    texts: Sequence[Sequence[int]],
    language: str | None,
    decoding: DecodingOptions,
) -> list[float]:
    """What each text is worth to the model, end-of-text included: all its tokens at once, which steps could not."""
    eot = checkpoint.tokenizer.eot
    prefix = decoder_prefix(
        checkpoint.tokenizer,
        language=language,
        task=decoding.task,
        timestamps=False,
        previous_text=decoding.previous_text,
        n_text_ctx=checkpoint.dims.n_text_ctx,
    )
    nats = []
    for first in range(0, len(texts), _AT_ONCE):
        some = texts[first : first + _AT_ONCE]
        rows = np.full((len(some), len(prefix) + max(map(len, some))), eot, np.int32)
        for row, tokens in zip(rows, some, strict=True):
            row[: len(prefix) + len(tokens)] = [*prefix, *tokens]
        shared = mx.broadcast_to(features, (len(some), *features.shape[1:]))
        logits = checkpoint.model.logits(mx.array(rows), shared)[:, len(prefix) - 1 :]
        for scores, tokens in zip(np.array(logits.astype(mx.float32)), some, strict=True):
            targets = np.array([*tokens, eot])
            scores = scores[: len(targets)]
            nats.append(float((scores[np.arange(len(targets)), targets] - logsumexp(scores)).sum()))
    return nats


def _nats(result: DecodingResult) -> float:
    """What a text is worth to the model, end-of-text included."""
    return result.avg_logprob * (len(result.tokens) + 1)


def allowance(n_tokens: int, options: BiasOptions) -> float:
    """What a term of so many tokens may cost, in nats of the model's own opinion."""
    return min(options.margin * n_tokens, options.max_margin)


def _is_allowed(plain: DecodingResult, biased: DecodingResult, bias: TermBias, tokenizer: Tokenizer) -> bool:
    """Whether a text with timestamps, which cannot be put together from two, may be written as it was heard."""
    places = propose(plain.text, biased.text, bias.terms)
    words, wanted = plain.text.split(), [_bare(word) for word in biased.text.split()]
    ways = itertools.islice(itertools.product(*places), _MOST_WAYS) if places else ()
    if not any([_bare(word) for word in _replaced(words, way).split()] == wanted for way in ways):
        return False
    allowed = sum(allowance(len(tokenizer.encode(f" {choices[0].term}")), bias.options) for choices in places)
    return _nats(plain) - _nats(biased) <= allowed


def _occurrences(words: Sequence[str], terms: Sequence[str]) -> list[tuple[str, int, int]]:
    """Where terms stand in bare words, (term, first, end); the longest first where they overlap."""
    by_words = {tuple(_bare(word) for word in term.split()): term for term in reversed(terms)}
    lengths = sorted({len(key) for key in by_words}, reverse=True)
    found, at = [], 0
    while at < len(words):
        for length in lengths:
            term = by_words.get(tuple(words[at : at + length]))
            if term is not None and at + length <= len(words):
                found.append((term, at, at + length))
                at += length
                break
        else:
            at += 1
    return found


def _terms_in(text: str, terms: Sequence[str]) -> list[str]:
    return [term for term, _, _ in _occurrences([_bare(word) for word in text.split()], terms)]


def _replaced(words: Sequence[str], proposals: Sequence[Proposal]) -> str:
    """The words with terms in the place of some; punctuation around these stays."""
    changed = list(words)
    for proposal in sorted(proposals, key=lambda proposal: -proposal.start):
        first, last = words[proposal.start], words[proposal.end - 1]
        before = first[: len(first) - len(first.lstrip(_OUTER))]
        after = last[len(last.rstrip(_OUTER)) :]
        changed[proposal.start : proposal.end] = [f"{before}{proposal.term}{after}"]
    return " ".join(changed)


def _bare(word: str) -> str:
    """A word as it is compared: without outer punctuation, in small letters."""
    return word.strip(_OUTER).casefold()
