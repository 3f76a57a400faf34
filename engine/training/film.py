"""The film of a training: its moments as an animated picture, to look back on or to show around. Imports no torch."""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.config import Direction
from engine.data.containers import gif_file, webp_file
from engine.data.deep_writing import Stored, png_file
from engine.errors import RunError
from engine.events import FilmEvent, FilmExported, Moment, Picture, Preparing, Sample
from engine.files import disk_sentence, move_to_free_name, temporary_beside, write_new
from engine.training.moments import read_moment_samples, read_moments, thin

MOMENTS_PER_SECOND = 8.0
LAST_SECONDS = 2.0
"""How long the last moment stays before the film begins again."""

MOST_FRAMES = 240

_GAP = 4
_LABEL_HEIGHT = 24
_WEBP_QUALITY = 85

# A picture that is shown, wherever in the film it is.
_Shown: TypeAlias = tuple[Direction, Path]
_Frames: TypeAlias = Iterator[tuple[Picture, float]]


def export_film(
    folder: Path,
    source: Path | None,
    to: Path,
    *,
    direction: Direction | None = None,
    moments_per_second: float = MOMENTS_PER_SECOND,
    most_frames: int = MOST_FRAMES,
) -> Iterator[FilmEvent]:
    """Write the film of a training: each frame a moment, with original, translated and back again, and its step.

    Shown are the pictures that the newest moment shows, one below another. Older moments, from before these were
    chosen, show their own in the places of those that they lack; for one picture alone they are left out.

    Args:
        folder: The run; it may be under way.
        source: The picture shown, or None for all.
        to: The film, as .webp, .gif or .png (an APNG, also as .apng); never overwritten.
        direction: Only pictures translated in this direction.
        moments_per_second: How fast it runs; the last moment stays for 2 s at least. GIF has whole hundredths.
        most_frames: Of more moments some are left out evenly, the newest never.

    Yields:
        `Preparing`, then `FilmExported`.

    Raises:
        RunError: There is nothing to show, `to` has another ending or is there already, or the disk does not allow it.
    """
    encode = _encoder(to)
    if to.exists():
        raise _taken(to)
    moments = read_moments(folder)
    shown = _shown(folder, moments, source, direction)
    dropped = thin([moment.step for moment in moments], (), max(2, most_frames))
    chosen = [moment for moment in moments if moment.step not in dropped]
    time = 1000 / moments_per_second
    frames = _timed(_frames(chosen, shown, source), time, max(1000 * LAST_SECONDS, time))
    content = io.BytesIO()
    # Frames are read and encoded one by one, since all together may need more memory than there is.
    times = yield from encode(frames, len(chosen), content, lambda: list(_frames(_spread(chosen), shown, source)))
    if not times:
        raise RunError(f"The samples of {folder} cannot be read any more, so there is no film of them.")
    _publish(content.getvalue(), to)
    yield FilmExported(to, len(times), sum(times) / 1000, len(shown))


def _frames(moments: Sequence[Moment], shown: Sequence[_Shown], source: Path | None) -> Iterator[Picture]:
    """A frame a moment, all of one size."""
    size: tuple[int, ...] | None = None
    for moment in moments:
        rows = _rows(read_moment_samples(moment), shown, is_filled=source is None)
        # It may be damaged, thinned away by now, or without this picture.
        if any(row is not None for row in rows):
            frame = _frame(moment.step, rows)
            size = size or frame.shape
            if frame.shape == size:
                yield frame


def _rows(samples: Sequence[Sample], shown: Sequence[_Shown], *, is_filled: bool) -> list[Sample | None]:
    """The sample of each place, None where there is none; filled with others of its direction if so wished."""
    by_picture = {(sample.direction, sample.source): sample for sample in samples}
    rows = [by_picture.get(each) for each in shown]
    if is_filled:
        others = [sample for each, sample in by_picture.items() if each not in shown]
        for place, (direction, _) in enumerate(shown):
            other = next((sample for sample in others if sample.direction == direction), None)
            if rows[place] is None and other is not None:
                rows[place] = other
                others = [sample for sample in others if sample is not other]
    return rows


def _timed(frames: Iterator[Picture], time: float, last: float) -> _Frames:
    """Each frame with its time in milliseconds."""
    before = next(frames, None)
    for frame in frames:
        assert before is not None
        yield before, time
        before = frame
    if before is not None:
        yield before, last


def _spread(moments: Sequence[Moment]) -> list[Moment]:
    """A few from all over the film."""
    count = len(moments)
    return [moments[place] for place in sorted({0, count // 8, count // 2, count - 1})]


def _shown(folder: Path, moments: Sequence[Moment], source: Path | None, direction: Direction | None) -> list[_Shown]:
    """What the newest moment that can be read shows of what is asked for.

    Raises:
        RunError: Nothing.
    """
    for moment in reversed(moments):
        samples = read_moment_samples(moment)
        if not samples:
            continue
        all_shown = [(sample.direction, sample.source) for sample in samples]
        shown = [each for each in all_shown if direction in (None, each[0]) and (source is None or each[1] == source)]
        if shown:
            return shown
        names = ", ".join(f"{path.name} ({each})" for each, path in all_shown)
        raise RunError(f"{folder} shows no such picture as a sample; it shows {names}. Choose one of these.")
    raise RunError(f"{folder} has no samples yet, so there is no film of it; let it train for a few seconds first.")


def _frame(step: int, samples: Sequence[Sample | None]) -> Picture:
    """One frame: a row a sample, white where there is none, and the step below."""
    height, width = next(sample.original.shape[:2] for sample in samples if sample is not None)
    whole = np.full(
        (len(samples) * (height + _GAP) - _GAP + _LABEL_HEIGHT, 3 * (width + _GAP) - _GAP, 3), 255, np.uint8
    )
    for row, sample in enumerate(samples):
        for column, picture in enumerate(() if sample is None else (sample.original, sample.translated, sample.back)):
            # Growing trainings and other crops change no size, but a damaged sheet might.
            if picture.shape[:2] == (height, width):
                top, left = row * (height + _GAP), column * (width + _GAP)
                whole[top : top + height, left : left + width] = picture
    image = Image.fromarray(whole)
    place = (image.width / 2, image.height - _LABEL_HEIGHT / 2)
    ImageDraw.Draw(image).text(place, f"Step {step:,}", fill=(64, 64, 64), font=ImageFont.load_default(14), anchor="mm")
    return np.asarray(image)


# Takes the frames, their number at most, where to write, and how to get some frames ahead; returns the times.
_Encode: TypeAlias = Callable[
    [_Frames, int, io.BytesIO, Callable[[], list[Picture]]], Generator[Preparing, None, list[float]]
]


def _encoder(to: Path) -> _Encode:
    encoders: dict[str, _Encode] = {
        ".webp": _encode_webp,
        ".gif": _encode_gif,
        ".png": _encode_png,
        ".apng": _encode_png,
    }
    try:
        return encoders[to.suffix.lower()]
    except KeyError:
        raise RunError(f"A film is written as .webp, .gif or .png; give {to.name} one of these endings.") from None


def _encode_webp(
    frames: _Frames, count: int, content: io.BytesIO, some: Callable[[], list[Picture]]
) -> Generator[Preparing, None, list[float]]:
    stills: list[tuple[bytes, float]] = []
    size = (1, 1)
    yield Preparing("Writing the film", 0, count)
    for frame, milliseconds in frames:
        still = io.BytesIO()
        Image.fromarray(frame).save(still, "WEBP", quality=_WEBP_QUALITY, method=2)
        size = (frame.shape[1], frame.shape[0])
        stills.append((still.getvalue(), milliseconds))
        yield Preparing("Writing the film", len(stills), count)
    content.write(webp_file(stills, size))
    return [time for _, time in stills]


def _encode_gif(
    frames: _Frames, count: int, content: io.BytesIO, some: Callable[[], list[Picture]]
) -> Generator[Preparing, None, list[float]]:
    """One palette for all frames: with a palette each, what stays the same would flicker."""
    yield Preparing("Writing the film", 0, count)
    palette: Image.Image | None = None
    indexed: list[tuple[Image.Image, int | None, float]] = []
    for frame, milliseconds in frames:
        if palette is None:
            colours = np.concatenate(some() or [frame])[::2, ::2]
            palette = Image.fromarray(colours).quantize(256, Image.Quantize.MEDIANCUT)
        image = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        indexed.append((image, None, max(10, 10 * round(milliseconds / 10))))
        yield Preparing("Writing the film", len(indexed), count)
    content.write(gif_file(indexed, plays=0))
    return [time for _, _, time in indexed]


def _encode_png(
    frames: _Frames, count: int, content: io.BytesIO, some: Callable[[], list[Picture]]
) -> Generator[Preparing, None, list[float]]:
    yield Preparing("Writing the film", 0, count)
    times: list[float] = []

    def stored() -> Iterator[Stored]:
        for frame, milliseconds in frames:
            times.append(milliseconds)
            yield Stored(frame, milliseconds=milliseconds)

    content.write(png_file(stored(), animated=True))
    return times


def _publish(content: bytes, to: Path) -> None:
    """Write the film in one piece, and never over a file.

    Raises:
        RunError: Its name is taken, or the disk does not allow it.
    """
    temporary = temporary_beside(to)
    try:
        try:
            write_new(temporary, content, sync=True)
            move_to_free_name(temporary, to)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except FileExistsError as error:
        raise _taken(to) from error
    except OSError as error:
        raise RunError(disk_sentence(error, to)) from error


def _taken(to: Path) -> RunError:
    return RunError(disk_sentence(FileExistsError(errno.EEXIST, "exists"), to))
