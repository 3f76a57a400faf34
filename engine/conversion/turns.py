"""Decoded pictures whose translation waits for its turn, and the thread that translates them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from engine.conversion.batch_file import BatchFile
from engine.conversion.file_work import Decoded, FrameStack
from engine.conversion.translator import Translator
from engine.data.source_file import Frame


class _StoppedError(Exception):
    """Raised in the translator's thread when the generator was closed; nobody is left to see it."""


class Turns:
    """Translates pictures in the order in which they were added, several of one size at once where that is faster.

    A picture's `translating` says how long its translation took and by what, or what went wrong with it.
    """

    def __init__(self, translator: Translator) -> None:
        self._translator = translator
        self._thread = ThreadPoolExecutor(1, "translator")
        self._turns: deque[tuple[BatchFile, Decoded]] = deque()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let what is translated now end at the next layer."""
        self._stopping.set()

    def close(self) -> None:
        """Wait for that; what still waits for its turn is forgotten."""
        self._thread.shutdown(cancel_futures=True)

    def add(self, file: BatchFile, decoded: Decoded) -> None:
        """Let a picture wait for its turn; nothing happens if it does already."""
        if file.translating is None:
            file.translating = Future()
            self._turns.append((file, decoded))
            # In a thread of its own, so that a large picture, which takes minutes on a CPU, can be stopped.
            self._thread.submit(self._translate_next)

    def _translate_next(self) -> None:
        """Translate the picture whose turn it is, together with those after it that are of its kind and its size."""
        if not self._turns:  # It went together with one before it.
            return
        group = [self._turns.popleft()]
        try:
            first = _lone_frame(group[0][1])
            most = 1 if first is None else self._translator.together(first.pixels, depth=first.depth)
            while first and len(group) < most and self._turns and _is_alike(first, _lone_frame(self._turns[0][1])):
                group.append(self._turns.popleft())
            if len(group) > 1 and self._translate_group(group):
                return
            for file, decoded in group:
                assert file.translating is not None
                try:
                    file.translating.set_result(self._translate_frames(file.name, decoded.frames))
                except Exception as error:
                    file.translating.set_exception(error)
        except BaseException as error:  # Nobody may wait for ever.
            for file, _ in group:
                if file.translating is not None and not file.translating.done():
                    file.translating.set_exception(error)

    def _translate_group(self, group: Sequence[tuple[BatchFile, Decoded]]) -> bool:
        """Translate pictures of one size at once; False if that failed, and each is to be tried alone."""
        started = time.perf_counter()
        frames = [decoded.frames.get(0) for _, decoded in group]
        try:
            results = self._translator.translate_together(
                [frame.pixels for frame in frames], self._tick, depth=frames[0].depth
            )
        except Exception:  # One of them may be at fault, or the memory: alone it is told of whom it concerns.
            return False
        seconds = (time.perf_counter() - started) / len(group)
        for (file, decoded), result in zip(group, results, strict=True):
            decoded.frames.replace(0, result)
            assert file.translating is not None
            file.translating.set_result((seconds, self._translator.engine))
        return True

    def _translate_frames(self, name: str, frames: FrameStack) -> tuple[float, str]:
        """Put the translation in place of each frame; the time it took, and what translated the last one."""
        started = time.perf_counter()
        for number in range(len(frames)):
            frame = frames.get(number)
            frames.replace(number, self._translator.translate(name, frame.pixels, self._tick, depth=frame.depth))
        return time.perf_counter() - started, self._translator.engine

    def _tick(self) -> None:
        if self._stopping.is_set():
            raise _StoppedError


def _lone_frame(decoded: Decoded) -> Frame | None:
    """The frame of a file that has but one, and so has it in memory."""
    return decoded.frames.get(0) if len(decoded.frames) == 1 and decoded.source.frame_count == 1 else None


def _is_alike(one: Frame, other: Frame | None) -> bool:
    """Whether two frames can be translated together."""
    if other is None:
        return False
    return (one.pixels.shape, one.pixels.dtype, one.depth) == (other.pixels.shape, other.pixels.dtype, other.depth)
