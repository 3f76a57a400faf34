"""Opens image files: formats, frames, bit depths, transparency, orientation, colours. Needs no torch.

Whatever a file holds becomes [H, W, 3] in sRGB, upright, and what can be kept of the rest stands beside it. Every
failure is a `PictureError` with a sentence that names the file. Nothing is printed and no warning escapes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import logging
import os
import stat
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from engine.config import Frames
from engine.data.colour import colour_space, fine_into_srgb, image_into_srgb, is_fine, means_srgb, srgb_profile
from engine.data.exif import has_geo_tags, has_makers_note, read_exif, without_geo_tags
from engine.data.metadata import (
    described,
    note_of_colours,
    note_of_text,
    read_comment,
    read_dpi,
    read_xmp,
    stored_bits,
    unreadable_tiff,
)
from engine.data.sixteen_bits import Samples, heif_samples, png_samples, tiff_samples, tifffile_samples
from engine.data.source_file import Frame, Pixels, SourceFile
from engine.errors import PictureError
from engine.events import Picture
from engine.files import disk_sentence

_Scalar = TypeVar("_Scalar", bound=np.generic)

# Pillow logs some damage as errors, and Python prints what no handler takes. An app that has handlers still gets it.
for _library in ("PIL", "tifffile"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

MAX_PIXELS = 178_956_970
"""Pixels above which a picture is refused unread: Pillow's own limit, so that none of its global state is touched."""

# What `max_megapixels` may be set to.
_MOST_MEGAPIXELS = 100_000

# Never EPS, PDF or WMF, which call other programs. MPO (two JPEGs in one) comes through JPEG.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF"),
    *("JPEG2000", "PPM", "DDS", "SGI", "PSD", "QOI"),
)
# These have no telling first bytes: they would be guessed from any rubbish, so the name must say so, too.
_FORMATS_BY_NAME = {".tga": "TGA", ".pcx": "PCX"}

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_HEIC_SUFFIXES = (".heic", ".heif", ".hif")

# Programs write these with 32 bits and leave the fourth byte 0 without meaning that nothing is to be seen.
_SPARE_ALPHA = ("BMP", "DIB", "TGA")

# What a fourth channel of a TIFF is.
_NO_ALPHA, _PREMULTIPLIED_ALPHA, _STRAIGHT_ALPHA = 0, 1, 2

# Kinds of a page of a TIFF that are none: smaller copies and masks of another one (NewSubfileType), and the same in
# files of old (SubfileType).
_SUBFILE, _OLD_SUBFILE = 254, 255
_REDUCED_OR_MASK, _OLD_REDUCED = 1 | 4, 2
_ICC_TAG = 34675

_ANIMATED = ("GIF", "WEBP", "AVIF", "PNG")

# Share of pixels outside sRGB from which on it is said.
_NOTED_SHARE = 0.001

_BAD_PROFILE = "Its colour profile is damaged or does not fit its pixels, and was left out."


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is known of a picture before it is decoded, and partly no more after.

    Attributes:
        rawmode: How the file stores its pixels in the words of Pillow, "" if unknown.
        bits: Bits a channel of the file, at least 8.
        has_deep_colours: Whether it has more than 8 bits a colour that may be had beside Pillow.
        turned: The EXIF orientation that Pillow undoes by itself while loading, as it does with TIFF; else 1.
    """

    rawmode: str
    bits: int
    has_deep_colours: bool
    turned: int


Trait = Literal["sixteen_bits", "cmyk", "wide_gamut", "frames", "transparent"]
"""What a training does not take as it is: it is brought to 8 bits, into sRGB, to its first frame, on white."""


@dataclass(frozen=True, slots=True)
class Glance:
    """A picture seen at a small size.

    Attributes:
        width: Of the whole picture as it is to be seen, in pixels.
        height: Likewise.
        traits: What is unusual about its file.
        thumbnail: [H, W, 3] uint8.
    """

    width: int
    height: int
    traits: frozenset[Trait]
    thumbnail: Picture


@contextlib.contextmanager
def opened_source(
    path: Path, *, frames: Frames = "all", max_megapixels: int = 179
) -> Iterator[tuple[SourceFile, Iterator[Frame]]]:
    """A file with everything about it that a result should keep, and its frames.

    Nothing is decoded before the first frame is taken. They are decoded one after the other, while this is open.

    Args:
        path: The file.
        frames: "first" leaves out all but the first frame, and says so.
        max_megapixels: Pictures with more million pixels are refused unread; what Pillow's own limit refuses (179
            million, unless the process has lifted it) always is.

    Raises:
        PictureError: It cannot be read; the sentence names it, and the frame of several, and says what to do. Also
            raised while frames are taken.
        MemoryError: It does not fit into memory; likewise.
    """
    with contextlib.ExitStack() as stack:
        with _failures_named(path), _quiet():
            file = stack.enter_context(_open_file(path))
            image = _identified(file, path)
            _require_bearable(image, path, max_megapixels)
            notes: list[str] = []
            places = _frame_places(image, notes)
            if frames == "first" and len(places) > 1:
                notes.append(f"Only the first of {len(places)} frames was converted.")
                places = places[:1]
            with _failures_named(path, _which(0, len(places))):
                image.seek(places[0])
                _require_bearable(image, path, max_megapixels)
            source, orientation = _described_source(image, file, path, len(places), notes)
        yield source, _frames(image, file, source, places, orientation, max_megapixels)


def read_pixels(path: Path) -> Picture:
    """[H, W, 3] uint8: a file as a person sees it, upright, in sRGB, on white where it is transparent.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    with _opened(path) as (image, file):
        return _on_white(_decoded(image, file, _stored(image, file)))


def read_deep_pixels(path: Path) -> Picture | npt.NDArray[np.float32]:
    """[H, W, 3]: the same as `read_pixels`, with all the levels of a file that has more than 256 of them.

    These are grey ones of 16 and 32 bits, and PNG, TIFF and HEIC with more than 8 bits a colour. With a colour profile
    of tables they have 8 bits: what converts has no more.

    Returns:
        uint8; or float32 in 0..255 with fractions.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    with _opened(path) as (image, file):
        stored = _stored(image, file)
        deep = image.mode.startswith(("I", "F")) or stored.has_deep_colours
        frame = _decoded(image, file, stored, fine=deep)
    if frame.pixels.dtype == np.uint8:
        return _on_white(frame)
    pixels: npt.NDArray[np.float32] = np.divide(frame.pixels, 257, dtype=np.float32)
    if frame.alpha is not None:
        pixels -= 255
        pixels *= (frame.alpha / np.float32(65535))[..., None]
        pixels += 255
    return pixels


def read_thumbnail(path: Path, side: int) -> Picture:
    """[H, W, 3] uint8: the same as `read_pixels`, scaled down to fit a square of `side` pixels.

    A large JPEG is decoded at a fraction of its size, many times faster.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    with _opened(path) as (image, file):
        image.draft(None, scaled_size(image.size, side))
        pixels = _on_white(_decoded(image, file, _stored(image, file)))
    thumbnail = Image.fromarray(pixels)
    thumbnail.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(thumbnail)


def read_glance(path: Path, side: int) -> Glance:
    """What is worth knowing of a picture before training on it, seen at a small size.

    It is decoded to its end, so that one that is cut off is found; a large JPEG many times faster than in full.

    Args:
        path: The file.
        side: Longest side of the thumbnail, in pixels.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    with _opened(path) as (image, file):
        size = image.size
        traits: set[Trait] = set()
        if _has_more_frames(image):
            traits.add("frames")
            image.seek(0)
        image.draft(None, scaled_size(size, side))
        stored = _stored(image, file)
        if stored.bits > 8:
            traits.add("sixteen_bits")
        is_turned = _orientation(image) >= 5 and image.format != "TIFF"
        frame = _decoded(image, file, stored)
        if image.mode == "CMYK":
            traits.add("cmyk")
        elif image.mode.startswith(("RGB", "P")) and (profile := _profile(image)) and not means_srgb(profile):
            traits.add("wide_gamut")
        if frame.alpha is not None:
            traits.add("transparent")
        pixels = _on_white(frame)
    thumbnail = Image.fromarray(pixels)
    thumbnail.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    width, height = size[::-1] if is_turned else size
    return Glance(width, height, frozenset(traits), np.array(thumbnail))


def read_size(path: Path, *, max_megapixels: int = 179) -> tuple[int, int]:
    """Width and height of a file in pixels, as stored (before any turning), without decoding it.

    Args:
        path: The file.
        max_megapixels: As for `opened_source`.

    Raises:
        PictureError: It cannot be read.
    """
    with _opened(path, max_megapixels) as (image, _):
        return image.size


def scaled_frame(frame: Frame, longest: int) -> Frame:
    """The frame with its longest side scaled down to `longest` pixels; a smaller one stays as it is."""
    height, width = frame.pixels.shape[:2]
    size = scaled_size((width, height), longest)
    if size == (width, height):
        return frame
    top = np.iinfo(frame.pixels.dtype).max
    alpha = frame.alpha
    pixels: Any
    if alpha is None:
        pixels = np.dstack([_scaled(frame.pixels[..., i], size) for i in range(3)])
    else:
        # Each pixel counts by what is to be seen of it, or the colour of hidden ones would show at the edges.
        weights = alpha.astype(np.float32) / top
        alpha = _scaled(alpha, size)
        seen = _resized(weights, size)
        seen[alpha == 0] = 1
        channels = [_resized(frame.pixels[..., i] * weights, size) / np.maximum(seen, 1e-6) for i in range(3)]
        pixels = _rounded(np.dstack(channels), frame.pixels.dtype)
        pixels[alpha == 0] = top
    return dataclasses.replace(frame, pixels=pixels, alpha=alpha)


def scaled_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height when the longest side is scaled down to `longest`; never below 1."""
    if max(size) <= longest:
        return size
    width, height = (max(1, round(side * longest / max(size))) for side in size)
    return width, height


# Opening


@contextlib.contextmanager
def _opened(path: Path, max_megapixels: int | None = None) -> Iterator[tuple[Image.Image, BinaryIO]]:
    """The file, identified and of a bearable size, while anything that goes wrong becomes a `PictureError`."""
    with _failures_named(path), _quiet(), _open_file(path) as file:
        image = _identified(file, path)
        _require_bearable(image, path, max_megapixels)
        yield image, file


@contextlib.contextmanager
def _unmoved(file: BinaryIO) -> Iterator[None]:
    """Leave a file where it stands: Pillow reads on there. By its path it might be another one by now."""
    place = file.tell()
    try:
        yield
    finally:
        file.seek(place)


@contextlib.contextmanager
def _failures_named(path: Path, where: str = "") -> Iterator[None]:
    """Turn anything that goes wrong into a `PictureError`.

    Args:
        path: The file.
        where: What of it is being read, such as "frame 7 of 12"; "" for all of it.
    """
    try:
        yield
    except (MemoryError, PictureError):
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(_too_large_sentence(path)) from error
    except OSError as error:
        # Pillow raises OSError for damage, too, but only the system gives a number.
        if error.errno is not None:
            raise PictureError(disk_sentence(error, path)) from error
        raise PictureError(_damage_sentence(path, error, where)) from error
    except Exception as error:  # Decoders raise anything for a damaged file: SyntaxError, struct.error, KeyError...
        raise PictureError(_damage_sentence(path, error, where)) from error


def _identified(file: io.BufferedReader, path: Path) -> Image.Image:
    head = file.peek(12)[:12]
    heic = head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS
    formats = [*_FORMATS]
    if name := _FORMATS_BY_NAME.get(path.suffix.lower()):
        formats.append(name)
    if heic and _heic_is_known():
        formats.append("HEIF")
    try:
        image = Image.open(file, formats=formats)
    except UnidentifiedImageError as error:
        missing = (heic or path.suffix.lower() in _HEIC_SUFFIXES) and not _heic_is_known()
        with _unmoved(file):
            colours = unreadable_tiff(file)
        if colours:
            raise PictureError(
                f"{path.name} is a TIFF with {colours}, which cannot be read here. "
                "Open it in another program and save it with 16 bits and 3 channels."
            ) from error
        raise PictureError(_unknown_sentence(path, is_missing_heic=missing)) from error
    _mend_planes(image)
    return image


@lru_cache(maxsize=1)
def _heic_is_known() -> bool:
    """Let Pillow read HEIC where the optional library is installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _require_bearable(image: Image.Image, path: Path, max_megapixels: int | None) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise PictureError(f"{path.name} has no pixels. Leave it out.")
    if max_megapixels is None:
        if width * height > MAX_PIXELS:
            raise PictureError(_too_large_sentence(path))
        return
    millions = width * height / 1e6
    if millions > max_megapixels:
        shown = f"{millions:.0f}" if millions >= 10 else f"{millions:.1f}"
        enough = -(-int(millions + 1) // 100) * 100
        if enough > _MOST_MEGAPIXELS:
            raise PictureError(
                f"{path.name} has {shown} million pixels, which is more than can be read here. Leave it out, or scale "
                "it down in another program first."
            )
        raise PictureError(
            f"{path.name} has {shown} million pixels and is too large: up to {max_megapixels} million are allowed. "
            f"Allow more (--max-megapixels {enough}, or Largest picture in the options), or scale it down in another "
            "program first."
        )


def _mend_planes(image: Image.Image) -> None:
    """Let Pillow read planes of 16 bits as such: in a TIFF without compression it takes them for planes of 8 bits."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode not in ("RGB", "RGBA"):
        return
    tags = image.tag_v2
    if tags.get(ExifTags.Base.PlanarConfiguration, 1) == 2 and 16 in tags.get(ExifTags.Base.BitsPerSample, ()):
        depth = ";16B" if tags.prefix == b"MM" else ";16L"
        image.tile = [
            tile._replace(args=(f"{tile.args[0]}{depth}", *tile.args[1:]))
            if tile.codec_name == "raw" and isinstance(tile.args, tuple) and tile.args[0] in ("R", "G", "B", "A")
            else tile
            for tile in image.tile
        ]


def _open_file(path: Path) -> io.BufferedReader:
    # Asked before opening, since opening a named pipe would wait for ever.
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
        raise PictureError(f"{path.name} is {what}. Choose a picture.")
    return path.open("rb")


def _unknown_sentence(path: Path, *, is_missing_heic: bool) -> str:
    if path.stat().st_size == 0:
        return f"{path.name} is empty (0 bytes). Copy it again from its source."
    if is_missing_heic:
        return (
            f"{path.name} is a HEIC picture, which cannot be read here yet. "
            'Install what reads them (pip install "cyclegan-desktop[heic]"), or save it as JPEG first.'
        )
    return (
        f"{path.name} is no picture that can be read here, or it is damaged. "
        "Open it in another program and save it as JPEG, PNG or TIFF."
    )


def _too_large_sentence(path: Path) -> str:
    return (
        f"{path.name} has more than {MAX_PIXELS // 1_000_000} million pixels, which is too large to open. "
        "Scale it down in another program first."
    )


def _damage_sentence(path: Path, error: Exception, where: str) -> str:
    reason = _reason(error)
    if "truncated" in reason.lower():
        place = f" in {where}" if where else ""
        return f"{path.name} is damaged: the file ends too early{place}. Copy it again from its source."
    what = f"{where[0].upper()}{where[1:]} of {path.name}" if where else path.name
    return (
        f"{what} cannot be decoded ({reason}). It is damaged or of a rare kind: copy it again from its source, or "
        "open it in another program and save it as PNG."
    )


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 120 else words[:119] + "…"


# Frames


def _frame_places(image: Image.Image, notes: list[str]) -> Sequence[int]:
    """The numbers by which Pillow seeks what is to be converted of a file, at least one; what is not is noted."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _pages(image)
    try:
        count = int(getattr(image, "n_frames", 1))
    except Exception:  # A broken chain of frames; the first one may well be whole.
        count = 1
    if image.format in _ANIMATED:
        if count > 1 and image.info.get("default_image"):
            notes.append("The still picture for programs that show no animation was left out.")
            return range(1, count)
        return range(max(1, count))
    if image.format == "PSD":
        if count > 1:  # What is read is all of them, merged.
            notes.append(f"Its {count} layers were merged.")
        return (image.tell(),)
    if count > 1:
        # Cameras put a second view, a preview or a map of brightness there.
        notes.append(f"Only the main one of the {count} pictures in it was converted.")
    if image.info.get("depth_images") or image.info.get("aux"):
        notes.append("Its maps of depth or brightness were left out.")
    return (image.tell(),)


def _pages(image: TiffImagePlugin.TiffImageFile) -> Sequence[int]:
    """The pages of a TIFF without smaller copies and masks, unless it holds nothing else."""
    pages = []
    number = 0
    for number in itertools.count():
        try:
            image.seek(number)
        except EOFError:
            break
        except Exception:
            if number == 0 or image.tell() != number:  # The chain is broken: taking this page will say so.
                pages.append(number)
                break
        kind, old_kind = image.tag_v2.get(_SUBFILE, 0), image.tag_v2.get(_OLD_SUBFILE, 1)
        small = isinstance(kind, int) and kind & _REDUCED_OR_MASK
        if not small and old_kind != _OLD_REDUCED:
            pages.append(number)
    return pages or (0,)


def _described_source(
    image: Image.Image, file: BinaryIO, path: Path, count: int, notes: list[str]
) -> tuple[SourceFile, int]:
    """What is known of a file before it is decoded, and the EXIF orientation of the frame it stands at."""
    with _unmoved(file):
        try:
            about = described(image, file)
        except MemoryError:
            raise
        except Exception:
            about = image
            notes.append("What the file says about the picture is damaged and was left out.")
        exif, damaged = read_exif(about, file)
        xmp = read_xmp(about, file, notes)
    if damaged:
        notes.append("Its EXIF data is damaged and was left out.")
    orientation = _orientation(about)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Their places on Earth are told by rows and columns as stored.
        if orientation != 1 and has_geo_tags(exif):
            exif = without_geo_tags(exif)
            notes.append("Its place on the map was left out, since the picture was turned.")
        if has_makers_note(exif):
            notes.append("Its maker's notes were kept, but may not be understood any more.")
    notes += [note for note in (note_of_text(about), note_of_colours(about)) if note]
    animated = count > 1 and image.format in _ANIMATED
    # Of a TIFF Pillow gives the size already turned.
    turned = orientation >= 5 and image.format != "TIFF"
    return (
        SourceFile(
            path=path,
            format=image.format or "",
            size=(image.height, image.width) if turned else image.size,
            frame_count=count,
            is_animated=animated,
            loops=_loops(image) if animated else 0,
            exif=exif,
            xmp=xmp,
            comment=read_comment(about),
            notes=tuple(notes),
        ),
        orientation,
    )


def _loops(image: Image.Image) -> int:
    """How often an animation is shown, 0 for ever."""
    stored = image.info.get("loop")
    if image.format == "GIF":  # What is stored is how often it is repeated.
        return 1 if stored is None else stored + 1 if stored else 0
    return int(stored or 0)


def _frames(
    image: Image.Image,
    file: BinaryIO,
    source: SourceFile,
    places: Sequence[int],
    orientation: int,
    max_megapixels: int,
) -> Iterator[Frame]:
    path = source.path
    for number, place in enumerate(places):
        with _failures_named(path, _which(number, len(places))), _quiet():
            if number:
                image.seek(place)
                _mend_planes(image)
                _require_bearable(image, path, max_megapixels)
            stored = _stored(image, file)
            paged = isinstance(image, TiffImagePlugin.TiffImageFile)
            notes = _page_notes(image, file, source) if paged and number else ()
            frame = _decoded(image, file, stored, fine=True, orientation=None if paged else orientation)
            frame = dataclasses.replace(frame, notes=(*frame.notes, *notes))
            if source.is_animated:
                time = float(image.info.get("duration") or 0)
                frame = _within_canvas(dataclasses.replace(frame, milliseconds=time), source.size)
        yield frame


def _has_more_frames(image: Image.Image) -> bool:
    """Whether a file has pages or frames beside the first."""
    try:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            return image.n_frames > 1 and len(_pages(image)) > 1
        return image.format in _ANIMATED and bool(getattr(image, "is_animated", False))
    except Exception:  # A broken chain of frames; the first one may well be whole.
        return False


def _within_canvas(frame: Frame, size: tuple[int, int]) -> Frame:
    """The frame without what sticks out of its animation, for which Pillow, unlike viewers, enlarges the canvas."""
    width, height = size
    alpha = None if frame.alpha is None else frame.alpha[:height, :width]
    return dataclasses.replace(frame, pixels=frame.pixels[:height, :width], alpha=alpha)


def _which(number: int, count: int) -> str:
    return f"frame {number + 1} of {count}" if count > 1 else ""


def _page_notes(image: Image.Image, file: BinaryIO, source: SourceFile) -> tuple[str, ...]:
    with _unmoved(file):
        exif, _ = read_exif(image, file)
    if exif and exif != source.exif:
        return ("Each of its pages has a description; the result has that of the first.",)
    return ()


# Decoding


def _stored(image: Image.Image, file: BinaryIO) -> _Stored:
    with _unmoved(file):
        bits = stored_bits(image, file)
    tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    if tiff:
        deep = image.mode in ("RGB", "RGBA", "RGBX", "LA") and bits == 16
    else:
        still = getattr(image, "n_frames", 1) == 1
        deep = (image.format == "PNG" and bits == 16 and still) or (image.format == "HEIF" and bits > 8)
    deep = deep and not image.mode.startswith(("I", "F"))
    return _Stored(_rawmode(image), bits, deep, _orientation(image) if tiff else 1)


def _decoded(
    image: Image.Image, file: BinaryIO, stored: _Stored, *, fine: bool = False, orientation: int | None = None
) -> Frame:
    """The frame that an opened file stands at, upright and in sRGB.

    Args:
        image: The picture.
        file: What it was opened from.
        stored: What was known of it before.
        fine: Whether to have all of its levels, and as many in sRGB as it takes to come back from there. Else uint8.
        orientation: EXIF orientation that is still to be applied; None to ask the loaded picture.
    """
    with _silent_stderr() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()
    if orientation is None:
        orientation = _orientation(image)
    notes: list[str] = []
    # Pillow brings LAB into sRGB by itself.
    profile = b"" if image.mode == "LAB" else _profile(image)
    if note := _note_of_channels(image):
        notes.append(note)
    pixels: Any
    alpha: Any
    deep = _deep(image, file, stored, notes) if fine else None
    if deep is not None:
        levels, alpha, is_stored_turn = deep
        turn = stored.turned if is_stored_turn else orientation
        pixels, kept_profile = _deep_to_srgb(levels, profile, notes)
        if pixels.dtype == np.uint8 and alpha is not None:
            alpha = _to_eight_bits(alpha)
        depth = 8 * pixels.dtype.itemsize
    else:
        turn, depth = orientation, 8
        colours, alpha = _colours_and_alpha(image, stored.rawmode, notes)
        pixels, kept_profile = _to_srgb(colours, profile, notes, fine=fine)
        if alpha is not None and pixels.dtype == np.uint16:
            alpha = alpha * np.uint16(257)
    if stored.bits > depth:
        notes.append(f"The source has {stored.bits} bits a channel, of which {depth} could be read.")
    if alpha is not None:
        top = np.iinfo(alpha.dtype).max
        if not alpha.any() and image.format in _SPARE_ALPHA:
            notes.append("All of it was transparent, so its transparency was left out.")
            alpha = None
        elif alpha.min() == top:
            alpha = None
        else:
            pixels[alpha == 0] = top
    dpi = _dpi(image, max(turn, stored.turned)) if fine else None
    return Frame(
        _upright(pixels, turn),
        None if alpha is None else _upright(alpha, turn),
        kept_profile,
        dpi,
        depth=depth,
        notes=tuple(notes),
    )


def _note_of_channels(image: Image.Image) -> str:
    """A sentence about channels of a TIFF that are neither colours nor transparency; "" where there are none."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return ""
    count = image.tag_v2.get(ExifTags.Base.SamplesPerPixel, 1)
    used = 3 if image.mode == "RGBX" else len(image.getbands())
    if not isinstance(count, int) or count <= used or image.mode in ("1", "P", "PA"):
        return ""
    return f"{count - used} of its {count} channels {'was' if count - used == 1 else 'were'} left out."


def _profile(image: Image.Image) -> bytes:
    # Of a TIFF Pillow leaves the profile of an earlier page in place.
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        found = image.tag_v2.get(_ICC_TAG)
    else:
        found = image.info.get("icc_profile")
    return found if isinstance(found, bytes) else b""


def _dpi(image: Image.Image, turn: int) -> tuple[float, float] | None:
    try:
        dpi = read_dpi(image, image.getexif())
    except MemoryError:
        raise
    except Exception:  # Damaged EXIF data does not make a picture unreadable.
        return None
    return (dpi[1], dpi[0]) if dpi and turn >= 5 else dpi


def _deep(
    image: Image.Image, file: BinaryIO, stored: _Stored, notes: list[str]
) -> tuple[Samples, Samples | None, bool] | None:
    """[H, W] grey or [H, W, 3], uint16, of a loaded picture, and its transparency [H, W]; None if it has 8 bits.

    The third is whether the EXIF orientation that Pillow undid while loading is still to be applied.
    """
    if image.mode.startswith(("I", "F")):
        values = _grey_values(image)
        deep: Samples = np.rint(_levels(values, image.format, notes) * 257).astype(np.uint16)
        alpha = _keyed_alpha(values, image.info.get("transparency"))
        return deep, None if alpha is None else alpha * np.uint16(257), False
    if not stored.has_deep_colours:
        return None
    try:
        return (*_deep_colours(image, _samples(image, file)), image.format == "TIFF")
    except MemoryError:
        raise
    except Exception:  # Pillow has read it, so it is whole, only of a rare kind.
        return None


def _samples(image: Image.Image, file: BinaryIO) -> Samples:
    """[H, W, C] as stored."""
    with _unmoved(file):
        file.seek(0)
        if image.format == "PNG":
            return png_samples(file.read())
        if not isinstance(image, TiffImagePlugin.TiffImageFile):
            return heif_samples(file)
        return _tiff_samples(image, file)


def _tiff_samples(image: TiffImagePlugin.TiffImageFile, file: BinaryIO) -> Samples:
    try:
        with _silent_stderr():
            return tiff_samples(file, image.tag_v2)
    except MemoryError:
        raise
    except Exception:
        samples = tifffile_samples(file, image.tell())
        if samples.shape != (image.tag_v2[257], image.tag_v2[256], image.tag_v2.get(277, 1)):
            raise
        return samples


def _deep_colours(image: Image.Image, samples: Samples) -> tuple[Samples, Samples | None]:
    """[H, W] grey or [H, W, 3] and transparency [H, W] of samples [H, W, C] as stored."""
    fourth = _STRAIGHT_ALPHA
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        fourth = image.tag_v2.get(ExifTags.Base.ExtraSamples, (fourth,))[0]
    channels = 3 if samples.shape[-1] >= 3 else 1
    colours = samples[..., :3] if channels == 3 else samples[..., 0]
    key = image.info.get("transparency")
    if isinstance(key, tuple):
        clear = (colours == np.array(key)).all(axis=-1)
        return colours, np.where(clear, np.uint16(0), np.uint16(65535))
    if samples.shape[-1] == channels or fourth == _NO_ALPHA:
        return np.ascontiguousarray(colours), None
    alpha = samples[..., channels].copy()
    if fourth == _PREMULTIPLIED_ALPHA:
        whole = np.maximum(alpha, 1).reshape(*alpha.shape, *(1,) * (colours.ndim - 2))
        colours = np.minimum(np.rint(colours * (65535 / whole)), 65535).astype(np.uint16)
    return np.ascontiguousarray(colours), alpha


def _rawmode(image: Image.Image) -> str:
    """How the file stores its pixels in the words of Pillow ("RGB;16B"), "" if unknown. Ask before loading."""
    tile = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else ""
    if isinstance(arguments, tuple) and arguments:
        arguments = arguments[0]
    return arguments if isinstance(arguments, str) else ""


def _colours_and_alpha(
    image: Image.Image, rawmode: str, notes: list[str]
) -> tuple[Image.Image, npt.NDArray[np.uint8] | None]:
    """The picture in L, RGB or CMYK with 8 bits a channel, and its transparency."""
    mode = image.mode
    key = image.info.get("transparency")
    if mode.startswith(("I", "F")):
        values = _grey_values(image)
        return Image.fromarray(_eight_bits(values, image.format, notes)), _keyed_alpha(values, key)
    if mode in ("1", "L"):
        # Pillow spreads 2 and 4 bits over 0..255, but leaves the transparent level as it is stored.
        levels = np.array(image.convert("L"))
        spread = {"L;2": 85, "L;4": 17}.get(rawmode, 1)
        return Image.fromarray(levels), _keyed_alpha(levels, key * spread if isinstance(key, int) else None)
    if mode == "RGB" and isinstance(key, tuple) and len(key) == 3:
        wanted = [level >> 8 for level in key] if ";16" in rawmode else key
        clear = (np.asarray(image) == np.array(wanted)).all(axis=-1)
        return image, np.where(clear, np.uint8(0), np.uint8(255))
    if mode in ("La", "LA"):
        grey, alpha = image.convert("LA").split()
        return grey, np.array(alpha)
    if mode in ("RGBA", "RGBa", "PA") or (mode == "P" and image.has_transparency_data):
        *colours, alpha = image.convert("RGBA").split()
        return Image.merge("RGB", colours), np.array(alpha)
    if mode in ("RGB", "CMYK"):
        return image, None
    return image.convert("RGB"), None  # P, RGBX, YCbCr, HSV, LAB


def _grey_values(image: Image.Image) -> npt.NDArray[Any]:
    """[H, W] of a grey picture of more than 8 bits, as stored; 12 bits are spread over 16."""
    values: npt.NDArray[Any] = np.asarray(image)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(ExifTags.Base.BitsPerSample) == (12,):
        values = values << 4 | values >> 8
    return values


def _keyed_alpha(values: npt.NDArray[Any], key: object) -> npt.NDArray[np.uint8] | None:
    """Transparency of a grey picture of which one level is transparent."""
    if not isinstance(key, int):
        return None
    return np.where(values == key, np.uint8(0), np.uint8(255))


def _eight_bits(values: npt.NDArray[Any], format: str | None, notes: list[str]) -> npt.NDArray[np.uint8]:
    """16-bit and 32-bit grey -> 8 bits, rounded; Pillow's own conversion clips to white."""
    levels: npt.NDArray[np.uint8] = np.rint(_levels(values, format, notes)).astype(np.uint8)
    return levels


def _levels(values: npt.NDArray[Any], format: str | None, notes: list[str]) -> npt.NDArray[np.floating[Any]]:
    """16-bit and 32-bit grey -> 0..255 with fractions.

    16 bits mean 0..65535, and so do whole numbers within them. Floating-point numbers mean 0..1. Anything else says
    nothing about what is black and white, so its own darkest and brightest are.
    """
    wide: npt.NDArray[np.floating[Any]] = np.where(np.isfinite(values), values, 0).astype(
        np.float32 if values.dtype.itemsize <= 2 else np.float64
    )
    low, high = float(wide.min()), float(wide.max())
    if values.dtype.kind == "f":
        white = 1.0
    else:
        white = 255.0 if values.dtype.itemsize > 2 and high <= 255 and format != "PPM" else 65535.0
    black = 0.0
    if low < black or high > white:
        black, white = low, high
        notes.append(f"Its values were stretched: {low:g} became black and {high:g} white.")
    levels: npt.NDArray[np.floating[Any]] = (wide - black) * (255.0 / max(white - black, 1e-30))
    return levels


def _to_eight_bits(values: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    result: npt.NDArray[np.uint8] = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return result


def _on_white(frame: Frame) -> Picture:
    """A frame of 8 bits as it looks on white paper."""
    pixels: Any = frame.pixels
    if frame.alpha is None:
        return np.asarray(pixels, np.uint8)
    paper = Image.new("RGB", (pixels.shape[1], pixels.shape[0]), "white")
    paper.paste(Image.fromarray(pixels), mask=Image.fromarray(frame.alpha))
    return np.array(paper)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation still to be applied, 1 to 8 (Pillow turns TIFF itself and then says 1)."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Damaged EXIF data does not make a picture unreadable.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(array: npt.NDArray[_Scalar], orientation: int) -> npt.NDArray[_Scalar]:
    """[H, W, ...] as stored -> as it is to be seen."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _scaled(channel: Pixels, size: tuple[int, int]) -> Pixels:
    """[H, W] scaled by Lanczos."""
    if channel.dtype == np.uint8:
        return np.array(Image.fromarray(channel).resize(size, Image.Resampling.LANCZOS))
    return _rounded(_resized(channel.astype(np.float32), size), channel.dtype)


def _resized(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.array(image.resize(size, Image.Resampling.LANCZOS))


def _rounded(values: npt.NDArray[np.float32], dtype: np.dtype[Any]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(values), 0, np.iinfo(dtype).max).astype(dtype)
    return rounded


# Colours


def _to_srgb(colours: Image.Image, profile: bytes, notes: list[str], *, fine: bool) -> tuple[Pixels, bytes | None]:
    """[H, W, 3] in sRGB of L, RGB or CMYK, and the profile to give back to the result (RGB profiles only).

    Args:
        colours: With 8 bits a channel.
        profile: What they are colours of, b"" for sRGB.
        notes: What could not be kept.
        fine: Whether uint16 may be returned, where 256 levels of sRGB are too few to come back from.
    """
    if colours.mode == "CMYK":
        notes.append("The source is CMYK; the result is RGB.")
    if not profile:
        return np.array(colours.convert("RGB")), None
    try:
        space = colour_space(profile)
        to_come_back = fine and space == "RGB" and colours.mode in ("L", "RGB") and not means_srgb(profile)
        if to_come_back and is_fine(profile):
            return _within_srgb(np.asarray(colours.convert("RGB")), profile, notes), profile
        result = image_into_srgb(colours, profile)
    except ValueError:  # The profile comes from strangers, and a picture is readable without it.
        notes.append(_BAD_PROFILE)
        return np.array(colours.convert("RGB")), None
    return np.array(result), profile if space == "RGB" else srgb_profile()


def _deep_to_srgb(colours: Samples, profile: bytes, notes: list[str]) -> tuple[Pixels, bytes | None]:
    """[H, W, 3] in sRGB of [H, W] or [H, W, 3], and the profile to give back; uint8 where only that can be had."""
    if not profile:
        return _as_colours(colours), None
    try:
        space = colour_space(profile)
        if space == "RGB":
            colours = _as_colours(colours)
        grey = colours.ndim == 2
        if (space, grey) not in {("RGB", False), ("GRAY", True)}:
            raise ValueError("the colour profile does not fit the pixels")
        kept = profile if space == "RGB" else srgb_profile()
        if means_srgb(profile, grey=grey):
            return _as_colours(colours), kept
        if is_fine(profile, grey=grey):
            return _within_srgb(colours, profile, notes), kept
        result = np.array(image_into_srgb(Image.fromarray(_to_eight_bits(colours)), profile))
    except ValueError:
        notes.append(_BAD_PROFILE)
        return _as_colours(colours), None
    notes.append("Its colour profile is one of tables, which can be applied with 8 bits a channel only.")
    return result, kept


def _within_srgb(colours: Pixels, profile: bytes, notes: list[str]) -> Pixels:
    result, outside = fine_into_srgb(colours, profile)
    if outside >= _NOTED_SHARE:
        share = f"{outside:.0%}" if outside >= 0.01 else "Less than 1%"
        notes.append(f"{share} of its colours lie outside sRGB, in which the model works, and were brought into it.")
    return result


def _as_colours(colours: Samples) -> Samples:
    return colours if colours.ndim == 3 else np.repeat(colours[..., None], 3, axis=-1)


# Silence


class _PillowWarnings:
    """Counts who wants Pillow's warnings silenced: `warnings.catch_warnings` alone mixes up threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved = warnings.catch_warnings()

    @contextlib.contextmanager
    def silenced(self) -> Iterator[None]:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                warnings.filterwarnings("ignore", module=__name__.replace(".", r"\."))
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._saved.__exit__(None, None, None)


_quiet = _PillowWarnings().silenced
_stderr_lock = threading.Lock()


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Lead file descriptor 2 nowhere: while it decodes, libtiff writes its complaints straight to it."""
    with _stderr_lock:
        try:
            saved = os.dup(2)
        except OSError:  # A windowed app may have none.
            yield
            return
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
