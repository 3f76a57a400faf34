"""Work of a GPU that is recorded once and then started as one (CUDA graphs), with what can be side by side.

A step starts some two thousand kernels of a few microseconds each, and starting one takes as long from Python.
Recorded, all of them start at once, and what does not wait for one another runs at the same time: see
`docs/decisions/0022`.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

_First = TypeVar("_First")
_Second = TypeVar("_Second")

# Before it is recorded, work is done a few times: libraries load their kernels and take their memory then.
_REHEARSALS = 2
# Of so many shapes at once, since each keeps memory. A training that grows goes on from size to size and never back.
_MOST_RECORDINGS = 4


# Those that are in use, by which memory is told that only looks free.
_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    numbers: list[list[int]]
    outputs: list[Tensor]
    gradients: list[tuple[Tensor, Tensor | None]]


def held_bytes(device: torch.device) -> int:
    """Bytes of a GPU's memory that recordings keep for their next start, though torch counts them as free for reuse."""
    pools = {tuple(recorder.pool) for recorder in _recorders}
    if not pools:
        return 0
    index = torch.cuda.current_device() if device.index is None else device.index
    return sum(
        segment["total_size"] - segment["allocated_size"]
        for segment in torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
        if segment["device"] == index and tuple(segment["segment_pool_id"]) in pools
    )


class Recorder:
    """Records what computes gradients, for each shape of its input, and does it again.

    Attributes:
        pool: torch's name for the memory of all that it has recorded.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._recordings: dict[tuple[object, ...], _Recording] = {}
        self.pool = torch.cuda.graph_pool_handle()
        self._is_at_work = False
        self._marked: torch.cuda.Event | None = None
        self._streams = _streams(device)
        _recorders.add(self)

    def do(
        self,
        act: Callable[..., Sequence[Tensor]],
        inputs: Sequence[Tensor],
        numbers: Sequence[Sequence[int]],
        weights: Sequence[Tensor],
    ) -> list[Tensor]:
        """What `act(*inputs, *numbers)` does and gives, and the gradients of the weights that it leaves.

        Args:
            act: Depends on nothing but what it is given and the weights, waits for nothing, and draws nothing at
                random.
            inputs: Tensors on the device.
            numbers: Rows of whole numbers, which it is given as int64 on the device.
            weights: Those whose gradients `act` computes.

        Returns:
            Copies of what it gives, so that the next time does not change them.
        """
        key = _key(inputs)
        if key not in self._recordings:
            # Recording waits for the device, so that the oldest, which makes room, is no longer at work.
            self._recordings[key] = self._record(act, inputs, numbers, weights)
            while len(self._recordings) > _MOST_RECORDINGS:
                del self._recordings[next(iter(self._recordings))]
        recording = self._recordings[key]
        for kept, given in zip(recording.inputs, inputs, strict=False):
            kept.copy_(given)
        for kept, now, row in zip(recording.inputs[len(inputs) :], recording.numbers, numbers, strict=True):
            for place, number in enumerate(row):
                # A copy from the processor's memory would be waited for.
                if now[place] != number:
                    kept[place].fill_(number)
            now[:] = row
        recording.graph.replay()
        for weight, gradient in recording.gradients:
            weight.grad = gradient
        return [output.clone() for output in recording.outputs]

    def both(self, first: Callable[[], _First], second: Callable[[], _Second]) -> tuple[_First, _Second]:
        """What both give, side by side while something is recorded, else one after the other."""
        if not self._is_at_work:
            return first(), second()
        here = torch.cuda.current_stream(self._device)
        beside = self._streams.beside_mark if here == self._streams.since_mark else self._streams.beside
        beside.wait_stream(here)
        with torch.cuda.stream(beside):
            other = second()
        one = first()
        here.wait_stream(beside)
        for tensor in other if isinstance(other, tuple) else (other,):
            # Its memory must not be used again there before all is done with it here.
            if isinstance(tensor, Tensor):
                tensor.record_stream(here)
        return one, other

    def mark(self) -> None:
        """Remember where the current stream is now."""
        if self._is_at_work:
            self._marked = torch.cuda.current_stream(self._device).record_event()

    @contextlib.contextmanager
    def since_mark(self) -> Iterator[None]:
        """What is started within this waits only for what had been started at the mark, while something is recorded."""
        if self._marked is None:
            yield
            return
        here, beside = torch.cuda.current_stream(self._device), self._streams.since_mark
        beside.wait_event(self._marked)
        with torch.cuda.stream(beside):
            yield
        here.wait_stream(beside)
        self._marked = None

    def _record(
        self,
        act: Callable[..., Sequence[Tensor]],
        inputs: Sequence[Tensor],
        numbers: Sequence[Sequence[int]],
        weights: Sequence[Tensor],
    ) -> _Recording:
        rows = [list(row) for row in numbers]
        kept = [given.clone() for given in inputs] + [torch.tensor(row, device=self._device) for row in rows]
        here, stream = torch.cuda.current_stream(self._device), self._streams.recorded
        self._is_at_work = True
        try:
            # torch leaves a stream the current one whose recording fails.
            with torch.cuda.stream(here):
                stream.wait_stream(here)
                with torch.cuda.stream(stream):
                    for _ in range(_REHEARSALS):
                        act(*kept)
                here.wait_stream(stream)
                graph = torch.cuda.CUDAGraph()
                # Other threads of this process read pictures into memory that the GPU reads, which is theirs to do.
                with torch.cuda.graph(graph, pool=self.pool, stream=stream, capture_error_mode="thread_local"):
                    outputs = list(act(*kept))
        except BaseException:
            self._end_recording()
            raise
        finally:
            self._is_at_work, self._marked = False, None
        return _Recording(graph, kept, rows, outputs, [(weight, weight.grad) for weight in weights])

    def _end_recording(self) -> None:
        """Tell torch that nothing is recorded any more, after an error, of which it does not always take notice."""
        index = self._device.index or 0
        with contextlib.suppress(RuntimeError, AttributeError):
            # Until pytorch/pytorch#180395 it goes on to believe that memory is being recorded, and then frees none when
            # it runs out. Where it knows better it refuses.
            torch._C._cuda_endAllocateToPool(index, self.pool)
        with contextlib.suppress(RuntimeError):
            # What was rehearsed may still be under way.
            torch.cuda.synchronize(self._device)
        # The same with random numbers.
        generator = torch.cuda.default_generators[index]
        generator.graphsafe_set_state(torch.Generator(self._device).graphsafe_get_state())


class _Streams(NamedTuple):
    recorded: torch.cuda.Stream
    beside: torch.cuda.Stream
    since_mark: torch.cuda.Stream
    beside_mark: torch.cuda.Stream


@functools.cache
def _streams(device: torch.device) -> _Streams:
    """Those of all recordings, since libraries keep memory for each stream that they have worked on."""
    return _Streams(*(torch.cuda.Stream(device) for _ in _Streams._fields))  # type: ignore[no-untyped-call]


def _key(inputs: Sequence[Tensor]) -> tuple[object, ...]:
    return tuple(tuple(tensor.shape) for tensor in inputs)
