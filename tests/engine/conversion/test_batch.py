"""One bad file stops nothing, and a stop leaves exactly what was reported."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine import convert
from engine.conversion import batch, file_work, waiting
from engine.conversion import translator as translator_module
from engine.conversion.ledger import Ledger
from engine.conversion.translator import Translator
from engine.data.workers import WorkerDiedError, WorkerTimeoutError
from engine.errors import EngineError
from engine.events import Converted, ConvertEvent, ConvertFinished, ConvertPlanned, FileFailed, Preparing
from engine.model.generator import Generator
from tests.engine.conversion.batches import draw, make_job, needs_permissions, of_kind, tree

pytestmark = pytest.mark.usefixtures("one_thread", "in_threads")


def test_a_large_picture_holds_up_no_result_before_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        draw(tmp_path / "in" / name)
    told, a_is_read = threading.Event(), threading.Event()
    translate, whole = Translator.translate, batch.decode

    def in_order(path: Path, *args: object) -> object:
        assert path.name == "a.png" or a_is_read.wait(30)
        try:
            return whole(path, *args)
        finally:
            a_is_read.set()

    def slow(self: Translator, name: str, *args: object, **values: object) -> object:
        assert name == "a.png" or told.wait(30), "a.png was not told while b.png was at work"
        return translate(self, name, *args, **values)

    monkeypatch.setattr(batch, "decode", in_order)
    monkeypatch.setattr(Translator, "translate", slow)
    for event in convert(make_job(model, tmp_path, tmp_path / "in")):
        if isinstance(event, Converted) and event.source.name == "a.png":
            told.set()
    assert tree(tmp_path / "out") == ["a.png", "b.png"]


def test_a_bad_file_does_not_stop_the_batch(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    source = tmp_path / "in"
    for name in ("a.png", "c.png", "e.png"):
        draw(source / name)
    (source / "b.png").write_bytes(b"")
    draw(source / "d.jpg", (200, 200))
    (source / "d.jpg").write_bytes((source / "d.jpg").read_bytes()[:3000])
    events = run(source)
    failures = [(event.index, event.source.name) for event in events if isinstance(event, FileFailed)]
    assert failures == [(1, "b.png"), (3, "d.jpg")]
    assert "is empty" in events[events.index(next(e for e in events if isinstance(e, FileFailed)))].reason
    assert tree(tmp_path / "out") == ["a.png", "c.png", "e.png"]
    outcomes = [event.index for event in events if isinstance(event, Converted | FileFailed)]
    assert outcomes == [0, 1, 2, 3, 4]
    finished = events[-1]
    assert isinstance(finished, ConvertFinished)
    assert (finished.converted, finished.failed) == (3, 2)


def test_sources_that_are_not_there_fail_by_name_beside_good_ones(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    events = run(tmp_path / "gone.png", draw(tmp_path / "a.png"), tmp_path / "gone_too")
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["gone.png", "gone_too"]
    assert all("is not there" in e.reason for e in events if isinstance(e, FileFailed))
    assert tree(tmp_path / "out") == ["a.png"]


def test_a_source_that_vanishes_while_at_work_fails_by_name(model: Path, tmp_path: Path) -> None:
    for number in range(9):
        draw(tmp_path / "in" / f"{number}.png")
    events: list[ConvertEvent] = []
    for event in convert(make_job(model, tmp_path, tmp_path / "in")):
        events.append(event)
        if isinstance(event, ConvertPlanned):
            (tmp_path / "in" / "8.png").unlink()
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["8.png"]
    assert len(of_kind(events, Converted)) == 8


@needs_permissions
def test_a_subfolder_that_cannot_be_read_is_a_named_failure(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    draw(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "locked").mkdir(mode=0)
    try:
        events = run(tmp_path / "in")
    finally:
        (tmp_path / "in" / "locked").chmod(0o700)
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["locked"]
    assert len(of_kind(events, Converted)) == 1


def test_a_picture_too_large_for_the_memory_is_refused_by_name_with_a_size_that_fits(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]]
) -> None:
    draw(tmp_path / "in" / "large.png", (1800, 1600))
    draw(tmp_path / "in" / "small.png")
    events = run(tmp_path / "in", memory_gb=0.004)
    failure = next(event for event in events if isinstance(event, FileFailed))
    assert failure.reason.startswith("large.png is too large: 1800 x 1600 pixels")
    assert tree(tmp_path / "out") == ["small.png"]
    fitting = failure.reason.rpartition("--resize ")[2].rstrip(").")
    again = run(tmp_path / "in" / "large.png", resize=int(fitting), memory_gb=0.004)
    assert len(of_kind(again, Converted)) == 1


def test_a_large_picture_is_decoded_when_all_before_it_are_written_and_looked_at_first(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_free_memory", lambda: 32 * 12 * 400 * 300)
    for name in ("a.png", "b.png", "d.png"):
        draw(tmp_path / "in" / name)
    draw(tmp_path / "in" / "c.png", (500, 400))
    decoded: list[tuple[str, object]] = []
    whole = file_work.decode

    def decode(path: Path, frames: str, most: int, longest: int | None, memory: float | None, file: Path) -> object:
        if memory is None:
            decoded.append((path.name, tree(tmp_path / "out")))
        return whole(path, frames, most, longest, memory, file)

    monkeypatch.setattr(batch, "decode", decode)
    events = run(tmp_path / "in")
    assert [event.index for event in of_kind(events, Converted)] == [0, 1, 2, 3]
    assert decoded == [("c.png", ["a.png", "b.png"])]


def test_a_picture_too_large_to_decode_is_refused_unread(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "available_memory", lambda device: 1_000_000)
    monkeypatch.setattr(file_work, "fingerprint", lambda path: pytest.fail("it was read"))
    events = run(draw(tmp_path / "a.png", (400, 400)), resize=8)
    failure = next(event for event in events if isinstance(event, FileFailed))
    assert "too large to open" in failure.reason


def test_pictures_above_the_ceiling_are_refused(tmp_path: Path, run: Callable[..., list[ConvertEvent]]) -> None:
    draw(tmp_path / "in" / "a.png", (1200, 1000))
    draw(tmp_path / "in" / "b.png", (1000, 1000))
    events = run(tmp_path / "in", max_megapixels=1)
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["a.png"]
    assert tree(tmp_path / "out") == ["b.png"]


def test_running_out_of_memory_even_in_strips_fails_the_picture_and_the_batch_goes_on(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Generator.forward

    def fail_once(self: Generator, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] == 40:
            raise MemoryError
        return forward(self, x)

    def fail(*_: object, **__: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Generator, "forward", fail_once)
    monkeypatch.setattr(translator_module, "translate_streamed", fail)
    draw(tmp_path / "in" / "a.png", (40, 40))
    draw(tmp_path / "in" / "b.png")
    events = run(tmp_path / "in")
    assert [e.source.name for e in events if isinstance(e, FileFailed)] == ["a.png"]
    assert "memory ran out" in next(e.reason for e in events if isinstance(e, FileFailed))
    assert tree(tmp_path / "out") == ["b.png"]


@pytest.mark.parametrize("step", ["decode", "write"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (WorkerTimeoutError("It took longer than 9 s."), "longer than 9 s .*--time-limit"),
        (WorkerDiedError("Its process ended."), "crashed, or ran out of memory"),
        (MemoryError(), "memory ran out for b.png"),
        (KeyError("missing"), r"fault of this program \(KeyError: 'missing'\)"),
    ],
)
def test_what_happens_to_the_process_of_a_picture_happens_to_that_picture_alone(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: Exception,
    words: str,
) -> None:
    whole = getattr(batch, step)

    def fail_for_b(*args: object) -> object:
        source = args[0] if step == "decode" else args[1].path
        if source.name == "b.png":
            raise error
        return whole(*args)

    monkeypatch.setattr(batch, step, fail_for_b)
    for name in ("a.png", "b.png", "c.png"):
        draw(tmp_path / "in" / name)
    events = run(tmp_path / "in", time_limit=9)
    failure = next(event for event in events if isinstance(event, FileFailed))
    assert failure.source.name == "b.png" and "b.png" in failure.reason
    assert re.search(words, failure.reason)
    assert tree(tmp_path / "out") == ["a.png", "c.png"]


def test_processes_that_cannot_be_started_are_one_sentence_for_the_whole_job(
    model: Path, tmp_path: Path, in_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        draw(tmp_path / "in" / f"{number}.png")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    events: list[ConvertEvent] = []
    with pytest.raises(EngineError, match=r"No process could be started: .*/nowhere/python"):
        events.extend(convert(make_job(model, tmp_path, tmp_path / "in")))
    assert of_kind(events, FileFailed) == []
    assert tree(tmp_path / "out") == []


def test_a_bug_in_the_generator_is_not_hidden(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Generator, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Generator, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        run(draw(tmp_path / "a.png"))


def test_results_that_are_no_numbers_fail_the_picture(
    tmp_path: Path, run: Callable[..., list[ConvertEvent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Generator, "forward", lambda self, x: x * float("nan"))
    events = run(draw(tmp_path / "a.png"))
    assert "no valid result for a.png" in next(e.reason for e in events if isinstance(e, FileFailed))
    assert tree(tmp_path / "out") == []


@pytest.mark.parametrize("events_before", range(1, 24))
def test_stopping_anywhere_leaves_exactly_the_reported_results(model: Path, tmp_path: Path, events_before: int) -> None:
    for number in range(8):
        draw(tmp_path / "in" / f"{number}.png")
    work = convert(make_job(model, tmp_path, tmp_path / "in"))
    events = [next(work) for _ in range(min(events_before, 19))]
    if events_before > 19:
        time.sleep(0.01 * (events_before - 19))  # Lets the encoders get further than was reported.
    work.close()
    assert list(work) == []
    reported = sorted(event.target.name for event in events if isinstance(event, Converted))
    everything = tree(tmp_path / "out") if (tmp_path / "out").exists() else []
    assert everything == reported


def test_looking_for_what_is_done_gives_chances_to_stop(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HEARTBEAT_SECONDS", 0.01)
    may_end, chances = threading.Event(), 0

    def look(self: Ledger, source: Path) -> None:
        assert may_end.wait(60)

    monkeypatch.setattr(Ledger, "result_of", look)
    for event in convert(make_job(model, tmp_path, draw(tmp_path / "a.png"))):
        chances += isinstance(event, Preparing) and event.text == "Looking whether a.png is done already"
        if chances > 3:
            may_end.set()
    assert chances > 3


def test_no_yield_stands_inside_a_torch_context(model: Path, tmp_path: Path) -> None:
    for number in range(4):
        draw(tmp_path / "in" / f"{number}.png")
    for _ in convert(make_job(model, tmp_path, tmp_path / "in", precision="bf16")):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
