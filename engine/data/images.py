"""Opens image files: formats, frames, bit depths, transparency, orientation, colours. Needs no torch.

Whatever a file holds becomes [H, W, 3] in sRGB, upright, and what can be kept of the rest stands beside it. Every
failure is a `PictureError` with a sentence that names the file. Nothing is printed and no warning escapes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from engine.config import Frames
from engine.data.colour import means_srgb
from engine.data.decoding import decoded, on_white, orientation_of, profile_of, stored_as, unmoved
from engine.data.exif import has_geo_tags, has_makers_note, read_exif, without_geo_tags
from engine.data.metadata import described, note_of_colours, note_of_text, read_comment, read_xmp, unreadable_tiff
from engine.data.quiet import quiet
from engine.data.source_file import Frame, Pixels, SourceFile
from engine.errors import PictureError
from engine.events import Picture
from engine.files import disk_sentence

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

# Kinds of a page of a TIFF that are none: smaller copies and masks of another one (NewSubfileType), and the same in
# files of old (SubfileType).
_SUBFILE, _OLD_SUBFILE = 254, 255
_REDUCED_OR_MASK, _OLD_REDUCED = 1 | 4, 2

_ANIMATED = ("GIF", "WEBP", "AVIF", "PNG")

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
        with _failures_named(path), quiet():
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
        return on_white(decoded(image, file, stored_as(image, file)))


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
        stored = stored_as(image, file)
        deep = image.mode.startswith(("I", "F")) or stored.has_deep_colours
        frame = decoded(image, file, stored, fine=deep)
    if frame.pixels.dtype == np.uint8:
        return on_white(frame)
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
        pixels = on_white(decoded(image, file, stored_as(image, file)))
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
        stored = stored_as(image, file)
        if stored.bits > 8:
            traits.add("sixteen_bits")
        is_turned = orientation_of(image) >= 5 and image.format != "TIFF"
        frame = decoded(image, file, stored)
        if image.mode == "CMYK":
            traits.add("cmyk")
        elif image.mode.startswith(("RGB", "P")) and (profile := profile_of(image)) and not means_srgb(profile):
            traits.add("wide_gamut")
        if frame.alpha is not None:
            traits.add("transparent")
        pixels = on_white(frame)
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
    with _failures_named(path), quiet(), _open_file(path) as file:
        image = _identified(file, path)
        _require_bearable(image, path, max_megapixels)
        yield image, file


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
        with unmoved(file):
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
    with unmoved(file):
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
    orientation = orientation_of(about)
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
        with _failures_named(path, _which(number, len(places))), quiet():
            if number:
                image.seek(place)
                _mend_planes(image)
                _require_bearable(image, path, max_megapixels)
            stored = stored_as(image, file)
            paged = isinstance(image, TiffImagePlugin.TiffImageFile)
            notes = _page_notes(image, file, source) if paged and number else ()
            frame = decoded(image, file, stored, fine=True, orientation=None if paged else orientation)
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
    with unmoved(file):
        exif, _ = read_exif(image, file)
    if exif and exif != source.exif:
        return ("Each of its pages has a description; the result has that of the first.",)
    return ()


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
