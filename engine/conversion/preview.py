"""One picture converted in several sizes, to be looked at side by side before a batch is begun.

It imports torch with its first picture, so that a window can know its events without.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from engine.config import Direction, Engine, Resize
from engine.conversion.model_file import load_generator
from engine.data.images import opened_source, scaled_frame
from engine.data.source_file import Frame
from engine.errors import EngineError
from engine.events import Picture, Preparing
from engine.files import disk_sentence

if TYPE_CHECKING:
    from engine.conversion.translator import Translator


@dataclass(frozen=True, slots=True)
class SizePreview:
    """The picture converted in one of the sizes.

    Attributes:
        way: The size, as `ConvertJob.resize` has it.
        pixels: [h, w, 3] uint8 sRGB, the result scaled down for the screen. Transparency is left out.
        size: Width and height of the result itself, in pixels.
        seconds: Time that the translation took, without reading and writing.
    """

    way: Resize
    pixels: Picture
    size: tuple[int, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class SizeFailed:
    """The picture cannot be converted in one of the sizes.

    Attributes:
        way: The size.
        reason: A sentence that names the remedy.
    """

    way: Resize
    reason: str


PreviewEvent: TypeAlias = Preparing | SizePreview | SizeFailed


def preview_sizes(
    model: Path,
    direction: Direction,
    picture: Path,
    *,
    ways: Sequence[Resize],
    device: str = "auto",
    engine: Engine = "auto",
    memory_gb: float | None = None,
    max_megapixels: int = 200,
    longest_shown: int = 1600,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[PreviewEvent]:
    """Convert one picture in several sizes, the quickest first; nothing is written.

    Args:
        model: A model file or the folder of a training.
        direction: "a2b" or "b2a".
        picture: The picture; of a file of several frames the first.
        ways: The sizes, as `ConvertJob.resize` has them.
        device: As in `ConvertJob`.
        engine: As in `ConvertJob`.
        memory_gb: As in `ConvertJob`.
        max_megapixels: As in `ConvertJob`.
        longest_shown: Longest side of the previews in pixels.
        tick: Called now and then during the work; what it raises ends the work and is passed on.

    Raises:
        ConfigError: This machine does not have the device, or the engine cannot do it.
        ModelFileError: The model cannot be used, or has no such direction.
        PictureError: The picture cannot be read.
    """
    yield Preparing("Loading the model")
    import torch

    from engine.conversion.openvino_network import OpenvinoError, load_openvino
    from engine.conversion.translator import Translator
    from engine.device import all_threads, choose_device

    chosen = choose_device(device)
    generator, info = load_generator(model, direction, chosen)
    tick()
    yield Preparing("Reading the picture")
    frame = _first_frame(picture, max_megapixels)
    tick()
    threads_before = torch.get_num_threads()
    # As the conversion does: another number of threads rounds some last bits otherwise.
    torch.set_num_threads(all_threads())
    try:
        openvino = None
        with contextlib.suppress(OpenvinoError):  # The conversion says so.
            openvino = load_openvino(
                generator, info, direction=direction, device=chosen, precision="auto", engine=engine
            )
        for number, way in enumerate(sorted(ways, key=lambda way: _cost(frame, way, info.size))):
            yield Preparing(_what_is_done(way), done=number, total=len(ways))
            result: SizePreview | SizeFailed
            with tempfile.TemporaryDirectory(prefix="cyclegan-", ignore_cleanup_errors=True) as spill:
                try:
                    translator = Translator(
                        generator,
                        info,
                        direction=direction,
                        device=chosen,
                        precision="auto",
                        resize=way,
                        memory_gb=memory_gb,
                        spill=Path(spill),
                        openvino=openvino,
                    )
                    result = _translated(translator, picture.name, frame, way, info.size, longest_shown, tick)
                except EngineError as error:
                    result = SizeFailed(way, str(error))
                except OSError as error:  # What does not fit into memory goes to the disk.
                    result = SizeFailed(way, disk_sentence(error, Path(spill)))
            yield result
    finally:
        torch.set_num_threads(threads_before)


def _translated(
    translator: Translator,
    name: str,
    frame: Frame,
    way: Resize,
    trained: int,
    longest_shown: int,
    tick: Callable[[], None],
) -> SizePreview:
    longest = trained if way == "training" else way
    began = time.monotonic()
    source = scaled_frame(frame, longest) if isinstance(longest, int) else frame
    result = translator.translate(name, source.pixels, tick, depth=source.depth)
    seconds = time.monotonic() - began
    height, width = result.shape[:2]
    shown = scaled_frame(Frame(result), longest_shown).pixels
    if shown.dtype == np.uint16:
        shown = np.rint(shown / np.float32(257)).astype(np.uint8)
    return SizePreview(way, shown.astype(np.uint8, copy=False), (width, height), seconds)


def _what_is_done(way: Resize) -> str:
    match way:
        case None:
            return "Converting the picture at its own size"
        case "training":
            return "Converting the picture at the training size"
        case "change":
            return "Converting the picture by its change at the training size"
        case _:
            return f"Converting the picture with a longest side of {way} px"


def _first_frame(picture: Path, max_megapixels: int) -> Frame:
    with opened_source(picture, frames="first", max_megapixels=max_megapixels) as (_, frames):
        return dataclasses.replace(next(frames), alpha=None)


def _cost(frame: Frame, way: Resize, trained: int) -> float:
    """Pixels that go through the layers; adding a change to a large picture costs little, but not nothing."""
    height, width = frame.pixels.shape[:2]
    longest = trained if way in ("training", "change") else way
    shrink = min(1.0, longest / max(height, width)) if isinstance(longest, int) else 1.0
    return float(height * width * shrink**2 + (way == "change"))
