"""Pictures of one size are translated together, and each is what it is alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from engine import convert
from engine.conversion import translator as translator_module
from engine.conversion import waiting
from engine.conversion.batch_file import BatchFile
from engine.conversion.file_work import Decoded
from engine.conversion.translator import Translator
from engine.conversion.turns import Turns
from engine.data.source_file import Pixels
from engine.events import Converted, ConvertEvent, FileFailed, Preparing
from engine.model.generator import Generator
from tests.engine.conversion.batches import draw, make_job, tiny_generator, tree

pytestmark = pytest.mark.usefixtures("one_thread", "in_threads")


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pictures are translated up to three at once, as on a GPU; grows by the sizes of the groups."""
    sizes: list[int] = []
    whole = Translator.translate_together

    def remember(self: Translator, pictures: list[Pixels], *rest: object, **named: object) -> list[Pixels]:
        sizes.append(len(pictures))
        return whole(self, pictures, *rest, **named)

    monkeypatch.setattr(translator_module, "MOST_TOGETHER", {"cpu": 3})
    monkeypatch.setattr(Translator, "translate_together", remember)
    return sizes


def _slow_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first picture takes so long that several others wait for their turn meanwhile."""
    whole, add, queued, are_several = Translator.translate, Turns.add, set(), threading.Event()

    def note(self: Turns, file: BatchFile, decoded: Decoded) -> None:
        add(self, file, decoded)
        queued.add(file.index)
        if len(queued) >= 6:
            are_several.set()

    def slow(self: Translator, *rest: object, **named: object) -> Pixels:
        assert are_several.wait(60)
        return whole(self, *rest, **named)

    monkeypatch.setattr(Turns, "add", note)
    monkeypatch.setattr(Translator, "translate", slow)


def test_pictures_of_one_size_are_translated_together_and_each_is_what_it_is_alone(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    together: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(12):
        draw(tmp_path / "A" / f"{number:02d}.png", (40, 32) if number % 5 else (24, 24))
    _slow_first(monkeypatch)
    events = run(tmp_path / "A", to=tmp_path / "together")
    assert max(together) == 3
    order = [event.index for event in events if isinstance(event, Converted)]
    assert order == list(range(12))
    monkeypatch.setattr(translator_module, "MOST_TOGETHER", {})
    run(tmp_path / "A", to=tmp_path / "alone")
    for path in (tmp_path / "alone").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "together" / path.name).read_bytes()


def test_a_picture_that_fails_takes_none_of_those_beside_it_down(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    together: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(9):
        Image.new("RGB", (32, 32), (255, 255, 255) if number == 4 else (90, 90, 90)).save(tmp_path / f"{number}.png")
    whole = Generator.forward

    def refuse_white(self: Generator, x: torch.Tensor) -> torch.Tensor:
        return whole(self, x) * torch.where(x.mean((1, 2, 3), keepdim=True) > 0.9, float("nan"), 1.0)

    monkeypatch.setattr(Generator, "forward", refuse_white)
    _slow_first(monkeypatch)
    events = run(*(tmp_path / f"{number}.png" for number in range(9)))
    assert max(together) == 3
    assert [event.source.name for event in events if isinstance(event, FileFailed)] == ["4.png"]
    assert sum(isinstance(event, Converted) for event in events) == 8


def test_without_memory_for_several_each_is_translated_alone(
    tmp_path: Path,
    run: Callable[..., list[ConvertEvent]],
    together: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(6):
        draw(tmp_path / "A" / f"{number}.png")
    whole = Generator.forward

    def refuse_several(self: Generator, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, x)

    monkeypatch.setattr(Generator, "forward", refuse_several)
    _slow_first(monkeypatch)
    events = run(tmp_path / "A")
    assert together and sum(isinstance(event, Converted) for event in events) == 6


def test_a_picture_that_takes_long_can_be_stopped_between_two_layers(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HEARTBEAT_SECONDS", 0.02)
    layers = []
    convolve = torch.nn.Conv2d.forward

    def slow(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        layers.append(x.shape)
        time.sleep(0.3)
        return convolve(self, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", slow)
    work = convert(make_job(model, tmp_path, draw(tmp_path / "a.png")))
    for event in work:
        if isinstance(event, Preparing) and event.text == "Translating a.png" and layers:
            break
    work.close()
    there_are = sum(isinstance(module, torch.nn.Conv2d) for module in tiny_generator().modules())
    assert len(layers) < there_are
    assert tree(tmp_path / "out") == []
