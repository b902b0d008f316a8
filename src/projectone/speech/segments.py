"""What one window said, cut into segments by its timestamps, and where the next window begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from projectone.speech.audio import HOP_LENGTH, SAMPLE_RATE
from projectone.speech.decoding import DecodingResult
from projectone.speech.model_files import ENCODER_STRIDE
from projectone.speech.timing import WordTiming
from projectone.speech.tokenizer import Tokenizer

SECONDS_PER_FRAME = HOP_LENGTH / SAMPLE_RATE


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a recording with its text.

    Attributes:
        start_s: From the start of the recording.
        end_s: From the start of the recording.
        text: With the leading blank that the model wrote.
        tokens: Ids, timestamps included.
        avg_logprob: Of the window that the segment came from, as are the next three.
        words: When each was said, from the start of the recording; empty if that was not asked for.
    """

    start_s: float
    end_s: float
    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    words: tuple[WordTiming, ...] = ()


def split_window(
    result: DecodingResult,
    tokenizer: Tokenizer,
    *,
    start_frame: int,
    n_frames: int,
    words: Sequence[WordTiming] = (),
) -> tuple[list[Segment], int]:
    """Cut a decoded window where two timestamps meet.

    Args:
        result: Of the window; without timestamps it is one segment.
        tokenizer: Of the model.
        start_frame: Where the window begins in the recording, in mel frames.
        n_frames: How many frames of the recording the window holds.
        words: Of the window.

    Returns:
        Segments that have a text and a length, and the number of frames that are done with: all of them, or those up
        to the last timestamp if a segment was left open there.

    Source: the inner loop of `transcribe` in whisper/transcribe.py.
    """
    tokens, begin = result.tokens, tokenizer.timestamp_begin
    is_timestamp = [token >= begin for token in tokens]
    cuts = [i for i in range(1, len(tokens)) if is_timestamp[i - 1] and is_timestamp[i]]
    ends_in_one = is_timestamp[-2:] == [False, True]
    if not cuts:
        last = next((token for token in reversed(tokens) if token > begin), None)
        length_s = n_frames * SECONDS_PER_FRAME if last is None else tokenizer.timestamp_s(last)
        whole = _segment(result, tokenizer, tokens, start_frame, 0.0, length_s)
        return _kept([replace(whole, words=tuple(words))]), n_frames
    if ends_in_one:
        cuts.append(len(tokens))
    segments = []
    for first, end in zip([0, *cuts[:-1]], cuts, strict=True):
        part = tokens[first:end]
        start_s, end_s = tokenizer.timestamp_s(part[0]), tokenizer.timestamp_s(part[-1])
        segment = _segment(result, tokenizer, part, start_frame, start_s, end_s)
        said = tuple(word for word in words if first <= word.first_token < end)
        segments.append(replace(segment, words=said))
    if ends_in_one:  # nobody speaks after the last timestamp
        return _kept(segments), n_frames
    n_done = (tokens[cuts[-1] - 1] - begin) * ENCODER_STRIDE
    # A window that gets nowhere, or past its own end, is left behind: otherwise it would be decoded for ever.
    return _kept(segments), n_done if 0 < n_done <= n_frames else n_frames


def _segment(
    result: DecodingResult,
    tokenizer: Tokenizer,
    tokens: tuple[int, ...],
    start_frame: int,
    start_s: float,
    end_s: float,
) -> Segment:
    offset_s = start_frame * SECONDS_PER_FRAME
    return Segment(
        start_s=round(offset_s + start_s, 3),
        end_s=round(offset_s + end_s, 3),
        text=tokenizer.decode(tokens),
        tokens=tokens,
        avg_logprob=result.avg_logprob,
        no_speech_prob=result.no_speech_prob,
        compression_ratio=result.compression_ratio,
        temperature=result.temperature,
    )


def _kept(segments: list[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.text.strip() and segment.end_s > segment.start_s]
