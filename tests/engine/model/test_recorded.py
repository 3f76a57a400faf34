"""A step that is recorded and done again is the step: the same weights, averages, pools and losses, bit for bit."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from engine.config import TrainConfig
from engine.events import LOSS_NAMES
from engine.model import recorded
from engine.model.cyclegan import CycleGAN, can_record
from engine.model.recorded import Recorder

with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def make_config(**values: Any) -> TrainConfig:
    places = {"folder_A": Path("a"), "folder_B": Path("b"), "run": Path("r")}
    settings = {"size": 32, "load_size": 32, "blocks": 2, "channels": 8, "pool_size": 4, "seed": 3, "ema_decay": 0.9}
    return TrainConfig(**places, **(settings | values))


class InLine:
    """A recorder that records nothing, for a processor: it does each time what it would record."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls = 0

    def do(
        self,
        act: Callable[..., Sequence[Tensor]],
        inputs: Sequence[Tensor],
        numbers: Sequence[Sequence[int]],
        weights: Sequence[Tensor],
    ) -> list[Tensor]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        results = [one.clone() for one in act(*inputs, *(torch.tensor(row) for row in numbers))]
        assert all(weight.grad is not None for weight in weights)
        return results

    def both(self, first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
        other = second()
        return first(), other

    def mark(self) -> None:
        pass

    def since_mark(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def steps(model: CycleGAN, count: int, *, size: int = 32) -> Iterator[dict[str, Tensor]]:
    random = torch.Generator().manual_seed(1)
    batch = model.config.batch_size
    for number in range(count):
        sides = (torch.rand(2, batch, 3, size, size, generator=random) * 2 - 1).to(model.device)
        yield model.step(*sides, first_number=number * batch, learning_rate=1e-3, number=number)


def assert_same(one: CycleGAN, other: CycleGAN) -> None:
    ours, theirs = one.state()[0], other.state()[0]
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize("values", [{}, {"batch_size": 3}, {"pool_size": 0}, {"lambda_identity": 0.0}], ids=str)
def test_a_recorded_step_leaves_what_a_step_leaves(values: dict[str, Any]) -> None:
    config = make_config(**values)
    plain, recorded = (CycleGAN(config, torch.device("cpu"), batched=True) for _ in range(2))
    recorder = InLine()
    recorded._recorder = recorder  # type: ignore[assignment]
    for expected, losses in zip(steps(plain, 12), steps(recorded, 12), strict=True):
        assert list(losses) == list(LOSS_NAMES)
        assert all(torch.equal(losses[name], expected[name]) for name in LOSS_NAMES)
    assert recorder.calls == 12
    assert_same(recorded, plain)


def test_what_cannot_be_recorded_is_done_as_ever() -> None:
    plain, recorded = (CycleGAN(make_config(), torch.device("cpu")) for _ in range(2))
    recorder = InLine(torch.OutOfMemoryError("out of memory"))
    recorded._recorder = recorder  # type: ignore[assignment]
    for _ in zip(steps(plain, 6), steps(recorded, 6), strict=True):
        pass
    assert recorder.calls == 1
    assert_same(recorded, plain)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "too little memory"),
        (RuntimeError("operation not permitted.\nMore"), "(operation not permitted)"),
    ],
)
def test_what_cannot_be_recorded_is_told_once(error: Exception, words: str) -> None:
    model = CycleGAN(make_config(), torch.device("cpu"))
    model._recorder = InLine(error)  # type: ignore[assignment]
    list(steps(model, 2))
    (note,) = model.take_notes()
    assert words in note
    assert "resumed" in note
    assert model.take_notes() == []


def test_a_model_whose_steps_were_recorded_is_freed_with_its_last_user() -> None:
    model = CycleGAN(make_config(), torch.device("cpu"), batched=True)
    model._recorder = InLine()  # type: ignore[assignment]
    list(steps(model, 2))
    ours = weakref.ref(model)
    gc.collect()
    gc.disable()  # Else a recording could stay on a GPU until chance has it collected.
    try:
        del model
        assert ours() is None
    finally:
        gc.enable()


def test_the_oldest_recording_makes_room_for_one_of_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(recorded, "_streams", lambda _: None)
    recorder = Recorder(torch.device("cpu"))
    sides: list[int] = []

    def record(_act: object, inputs: Sequence[Tensor], *_: object) -> Any:
        sides.append(inputs[0].shape[-1])
        return SimpleNamespace(
            inputs=[inputs[0].clone()],
            numbers=[],
            outputs=[],
            gradients=[],
            graph=SimpleNamespace(replay=lambda: None),
        )

    monkeypatch.setattr(recorder, "_record", record)
    for side in (16, 16, 32, 64, 128, 256, 256, 32, 16):
        recorder.do(lambda: [], [torch.zeros(1, 3, side, side)], [], [])
    assert sides == [16, 32, 64, 128, 256, 16]


@pytest.mark.parametrize(
    "values",
    [
        {"dropout": True},
        {"diff_augment": True},
        {"norm": "batch"},
        {"spectral_norm": True},
        {"gradient_penalty": 1.0},
        {"accumulate": 2},
        {"preprocess": "none"},
        {"per_direction": True},
        {"recompute": True},
    ],
    ids=str,
)
def test_what_changes_from_step_to_step_or_saves_memory_is_not_recorded(values: dict[str, Any]) -> None:
    assert can_record(make_config(), "bf16")
    assert not can_record(make_config(**values), "bf16")
    assert not can_record(make_config(), "fp16")


class MadeUpGraph:
    """Stands in for `torch.cuda.graph`: makes its stream the current one, and fails at its end as torch does."""

    streams: ClassVar[list[object]] = []

    def __init__(self, _graph: object, *, stream: object, **_: object) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        self.streams[-1] = self.stream

    def __exit__(self, *_: object) -> None:
        raise RuntimeError("operation failed due to a previous error during capture")


def test_a_recording_that_fails_gives_the_stream_back_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[object] = [SimpleNamespace(wait_stream=lambda _: None)]
    before = streams[0]
    ended: list[bool] = []

    @contextlib.contextmanager
    def current(stream: object) -> Iterator[None]:
        old, streams[-1] = streams[-1], stream
        try:
            yield
        finally:
            streams[-1] = old

    monkeypatch.setattr(MadeUpGraph, "streams", streams)
    others = [SimpleNamespace(wait_stream=lambda _: None) for _ in recorded._Streams._fields]
    monkeypatch.setattr(recorded, "_streams", lambda _: recorded._Streams(*others))
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: streams[-1])
    monkeypatch.setattr(torch.cuda, "stream", current)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", MadeUpGraph)
    recorder = Recorder(torch.device("cpu"))
    monkeypatch.setattr(recorder, "_end_recording", lambda: ended.append(True))
    with pytest.raises(RuntimeError, match="during capture"):
        recorder.do(lambda x: [x], [torch.ones(1)], [], [])
    assert streams == [before]
    assert ended == [True]
    assert recorder._recordings == {}


# With a GPU


@with_gpu
@pytest.mark.parametrize("values", [{}, {"batch_size": 3}, {"lambda_identity": 0.0}], ids=str)
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_recorded_steps_on_a_gpu_are_steps_bit_for_bit(values: dict[str, Any], precision: Any) -> None:
    plain, recorded = (
        CycleGAN(make_config(**values), torch.device("cuda", 0), precision, batched=True) for _ in range(2)
    )
    plain._recorder = None
    for expected, losses in zip(steps(plain, 12), steps(recorded, 12), strict=True):
        assert all(torch.equal(losses[name], expected[name]) for name in LOSS_NAMES)
    assert recorded._recorder is not None
    assert_same(recorded, plain)


@with_gpu
def test_a_training_that_goes_on_on_a_gpu_goes_on_bit_for_bit() -> None:
    whole, first, second = (CycleGAN(make_config(), torch.device("cuda", 0), "bf16", batched=True) for _ in range(3))
    for number, _ in enumerate(steps(whole, 8)):
        if number == 3:
            half = {name: tensor.clone() for name, tensor in whole.state()[0].items()}
    second.load_state(half, whole.state()[1])
    for number, _ in enumerate(zip(steps(first, 4), range(4), strict=True)):
        assert number < 4
    assert_same_tensors(first.state()[0], half)
    random = torch.Generator().manual_seed(1)
    for number in range(8):
        sides = (torch.rand(2, 1, 3, 32, 32, generator=random) * 2 - 1).to("cuda")
        if number >= 4:
            second.step(*sides, first_number=number, learning_rate=1e-3, number=number)
    assert_same(second, whole)


def assert_same_tensors(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@with_gpu
def test_what_cannot_be_recorded_on_a_gpu_leaves_it_usable() -> None:
    recorder, calls = Recorder(torch.device("cuda", 0)), 0

    def act(x: Tensor) -> list[Tensor]:
        nonlocal calls
        calls += 1
        if calls == 3:  # When it is recorded, nothing may be waited for.
            x.sum().item()
        return [x + 1]

    with pytest.raises(RuntimeError):
        recorder.do(act, [torch.ones(3, device="cuda")], [], [])
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert 0 <= float(torch.rand((), device="cuda")) <= 1


@with_gpu
def test_pictures_of_many_sizes_are_recorded_one_after_the_other() -> None:
    model = CycleGAN(make_config(), torch.device("cuda", 0), "bf16", batched=True)
    recorder = model._recorder
    assert recorder is not None
    for size in (32, 40, 48, 56, 64, 72):
        list(steps(model, 2, size=size))
    assert model._recorder is recorder
    assert len(recorder._recordings) == 4
