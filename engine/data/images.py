"""The only file that knows image files: formats, EXIF, colour profiles, bit depths, transparency. Needs no torch.

Whatever a file holds becomes [H, W, 3] uint8 in sRGB, upright; whatever can be kept of the rest is put back when the
result is encoded. Every failure is a `PictureError` with a sentence that names the file. Nothing is printed and no
warning escapes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import stat
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin, UnidentifiedImageError

from engine.config import OutputFormat
from engine.data.exif import HEADING, exif_of_result
from engine.data.folders import PICTURE_SUFFIXES
from engine.data.sixteen_bits import png_samples, tiff_samples
from engine.errors import PictureError
from engine.events import Picture
from engine.files import disk_sentence

_Scalar = TypeVar("_Scalar", bound=np.generic)

# Pillow logs some damage as errors, and Python prints what no handler takes. An app that has handlers still gets it.
logging.getLogger("PIL").addHandler(logging.NullHandler())

MAX_PIXELS = 178_956_970
"""Pixels above which a picture is refused unread: Pillow's own limit, so that none of its global state is touched."""

# Never EPS, PDF or WMF, which call other programs. MPO (two JPEGs in one) comes through JPEG.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF"),
    *("JPEG2000", "PPM", "DDS", "SGI", "PSD", "QOI"),
)
# These have no telling first bytes: they would be guessed from any rubbish, so the name must say so, too.
_FORMATS_BY_NAME = {".tga": "TGA", ".pcx": "PCX"}


# Programs write these with 32 bits and leave the fourth byte 0 without meaning that nothing is to be seen.
_SPARE_ALPHA = ("BMP", "DIB", "TGA")


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """One decoded file.

    Attributes:
        path: The file.
        pixels: [H, W, 3] uint8, sRGB, upright. Not blended with anything, except that wholly transparent pixels,
            whose hidden colour can be any rubbish, are white.
        alpha: [H, W] uint8, 255 for opaque; None if all of it is opaque.
        exif: The EXIF data as found, with its "Exif" heading, b"" for none. Its orientation is already applied.
        icc_profile: The RGB colour profile to give back to the result, None for sRGB without a profile.
        format: Pillow's name of the format, such as "JPEG".
        notes: What could not be kept, a short sentence each.
    """

    path: Path
    pixels: Picture
    alpha: npt.NDArray[np.uint8] | None
    exif: bytes
    icc_profile: bytes | None
    format: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A result, ready to be written.

    Attributes:
        data: The whole file.
        name: The source's name with the ending that fits the format.
        notes: What could not be kept, of reading and writing, a short sentence each.
    """

    data: bytes
    name: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Writer:
    """How a format is written.

    Attributes:
        suffix: The usual ending.
        suffixes: Every ending that is left as it is.
        alpha: Whether it can be transparent.
        metadata: Whether it has room for EXIF and a colour profile.
        longest: Its longest side in pixels.
    """

    suffix: str
    suffixes: frozenset[str]
    alpha: bool
    metadata: bool
    longest: int


_WRITERS = {
    "JPEG": _Writer(".jpg", frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}), alpha=False, metadata=True, longest=65_500),
    "PNG": _Writer(".png", frozenset({".png", ".apng"}), alpha=True, metadata=True, longest=1_000_000),
    "WEBP": _Writer(".webp", frozenset({".webp"}), alpha=True, metadata=True, longest=16_383),
    "TIFF": _Writer(".tif", frozenset({".tif", ".tiff"}), alpha=True, metadata=True, longest=1_000_000),
    "AVIF": _Writer(".avif", frozenset({".avif"}), alpha=True, metadata=True, longest=65_535),
    "BMP": _Writer(".bmp", frozenset({".bmp"}), alpha=False, metadata=False, longest=65_535),
}
_KEPT_AS = {"MPO": "JPEG", "DIB": "BMP"}
_CHOSEN: dict[OutputFormat, str] = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tiff": "TIFF"}

# JPEG keeps a segment of metadata within 64 KB.
_LONGEST_JPEG_EXIF = 65_533

# What a fourth channel of a TIFF is; 1 is transparency that the colours are multiplied by.
_NO_ALPHA, _STRAIGHT_ALPHA = 0, 2

# Tags of a TIFF that describe the picture and not the layout of its file.
_DESCRIPTIVE_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright,
)


def read_picture(path: Path) -> SourcePicture:
    """Decode a file, with everything about it that a result should keep.

    Raises:
        PictureError: It cannot be read; the sentence names it and says what to do.
        MemoryError: It does not fit into memory.
    """
    with _opened(path) as image:
        deep = image.mode.startswith(("I", "F")) or ";16" in _rawmode(image)
        pixels, alpha, profile, notes = _decode(image)
        if deep:
            notes.append("The result has 8 bits a channel; the source has more.")
        exif, damaged = _read_exif(image)
        if damaged:
            notes.append("Its EXIF data is damaged and was left out.")
        frames = _frame_count(image)
        if frames > 1:
            notes.append(f"Only the first of {frames} frames was converted.")
        return SourcePicture(path, pixels, alpha, exif, profile, image.format or "", tuple(notes))


def read_pixels(path: Path) -> Picture:
    """[H, W, 3] uint8: a file as a person sees it, upright, in sRGB, on white where it is transparent.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    with _opened(path) as image:
        pixels, alpha, _, _ = _decode(image)
    return _on_white(pixels, alpha)


def read_deep_pixels(path: Path) -> Picture | npt.NDArray[np.float32]:
    """[H, W, 3]: the same as `read_pixels`, with all the levels of a file that has more than 256 of them.

    These are grey ones of 16 and 32 bits, and PNG and TIFF with 16 bits a colour (a TIFF of up to 59 million pixels).
    With a colour profile other than sRGB they have 8 bits: what converts has no more.

    Returns:
        uint8; or float32 in 0..255 with fractions.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    with _opened(path) as image:
        if not image.mode.startswith(("I", "F")) and not _has_deep_colours(image):
            pixels, alpha, _, _ = _decode(image)
            return _on_white(pixels, alpha)
        deep = _deep_levels(image, path)
    return read_pixels(path) if deep is None else deep


def read_thumbnail(path: Path, side: int) -> Picture:
    """[H, W, 3] uint8: the same as `read_pixels`, scaled down to fit a square of `side` pixels.

    A large JPEG is decoded at a fraction of its size, many times faster.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    with _opened(path) as image:
        image.draft(None, (2 * side, 2 * side))
        pixels, alpha, _, _ = _decode(image)
    thumbnail = Image.fromarray(_on_white(pixels, alpha))
    thumbnail.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.array(thumbnail)


def read_size(path: Path) -> tuple[int, int]:
    """Width and height of a file in pixels, as stored (before any turning), without decoding it.

    Raises:
        PictureError: It cannot be read.
    """
    with _opened(path) as image:
        return image.size


def scaled_down(picture: SourcePicture, longest: int) -> SourcePicture:
    """The picture with its longest side scaled down to `longest` pixels; a smaller picture stays as it is."""
    height, width = picture.pixels.shape[:2]
    size = scaled_size((width, height), longest)
    if size == (width, height):
        return picture

    def scaled(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return np.array(Image.fromarray(array).resize(size, Image.Resampling.LANCZOS))

    alpha = None if picture.alpha is None else scaled(picture.alpha)
    return dataclasses.replace(picture, pixels=scaled(picture.pixels), alpha=alpha)


def scaled_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height when the longest side is scaled down to `longest`; never below 1."""
    if max(size) <= longest:
        return size
    width, height = (max(1, round(side * longest / max(size))) for side in size)
    return width, height


def encode_picture(pixels: Picture, source: SourcePicture, format: OutputFormat, quality: int) -> EncodedPicture:
    """A result as a file: with the source's transparency, EXIF data and RGB colour profile as far as the format can.

    Args:
        pixels: [H, W, 3] uint8, sRGB: the translated picture, of the source's height and width.
        source: What it was made of.
        format: "keep" takes the source's format, or PNG where that cannot be written.
        quality: JPEG, WebP and AVIF quality, 1 to 100.

    Raises:
        PictureError: It cannot be encoded.
        MemoryError: It does not fit into memory.
    """
    notes = list(source.notes)
    kind, reason = _output_kind(source, format, pixels.shape[:2])
    if reason:
        notes.append(reason)
    writer = _WRITERS[kind]
    suffix = source.path.suffix.lower()
    if format == "keep" and kind == source.format and suffix in PICTURE_SUFFIXES - writer.suffixes:
        notes.append(f"The file is a {_shown(kind)} in spite of its name, so the result ends in {writer.suffix}.")
    alpha = source.alpha
    if alpha is not None and not writer.alpha:
        pixels, alpha = _on_white(pixels, alpha), None
        notes.append(f"{_shown(kind)} cannot be transparent; transparent parts became white.")
    options: dict[str, Any] = {}
    if writer.metadata:
        pixels, options = _with_profile(pixels, source.icc_profile, notes)
        exif = exif_of_result(source.exif, pixels.shape[1], pixels.shape[0])
        if kind == "JPEG" and len(exif) > _LONGEST_JPEG_EXIF:
            notes.append("Its EXIF data is too long for a JPEG and was left out.")
        elif exif:
            options["exif"] = exif
    image = Image.fromarray(pixels if alpha is None else np.dstack((pixels, alpha)))
    options |= _encoder_options(kind, quality)
    try:
        with _quiet():
            try:
                data = _encoded(image, kind, options)
            except Exception:  # EXIF data comes from strangers, and TIFF writes it tag by tag.
                if options.pop("exif", None) is None:
                    raise
                notes.append("Its EXIF data could not be kept.")
                data = _encoded(image, kind, options)
    except MemoryError:
        raise
    except Exception as error:
        raise PictureError(
            f"The result of {source.path.name} cannot be written as {_shown(kind)} ({_reason(error)}). "
            "Choose another format, such as PNG."
        ) from error
    return EncodedPicture(data, _result_name(source.path.name, writer), tuple(notes))


# Opening


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file, identified and of a bearable size, while anything that goes wrong becomes a `PictureError`."""
    try:
        with _quiet(), _open_file(path) as file:
            named = _FORMATS_BY_NAME.get(path.suffix.lower())
            try:
                image = Image.open(file, formats=[*_FORMATS, named] if named else _FORMATS)
            except UnidentifiedImageError as error:
                raise PictureError(_unknown_sentence(path)) from error
            width, height = image.size
            if width < 1 or height < 1:
                raise PictureError(f"{path.name} has no pixels. Leave it out.")
            if width * height > MAX_PIXELS:
                raise PictureError(_too_large_sentence(path))
            _mend_planes(image)
            yield image
    except (MemoryError, PictureError):
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(_too_large_sentence(path)) from error
    except OSError as error:
        # Pillow raises OSError for damage, too, but only the system gives a number.
        if error.errno is not None:
            raise PictureError(disk_sentence(error, path)) from error
        raise PictureError(_damage_sentence(path, error)) from error
    except Exception as error:  # Decoders raise anything for a damaged file: SyntaxError, struct.error, KeyError...
        raise PictureError(_damage_sentence(path, error)) from error


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


def _unknown_sentence(path: Path) -> str:
    if path.stat().st_size == 0:
        return f"{path.name} is empty (0 bytes). Copy it again from its source."
    if path.suffix.lower() in (".heic", ".heif"):
        return f"{path.name} is a HEIC picture, which cannot be read here. Save it as JPEG or PNG first."
    return (
        f"{path.name} is no picture that can be read here, or it is damaged. "
        "Open it in another program and save it as JPEG, PNG or TIFF."
    )


def _too_large_sentence(path: Path) -> str:
    return (
        f"{path.name} has more than {MAX_PIXELS // 1_000_000} million pixels, which is too large to open. "
        "Scale it down in another program first."
    )


def _damage_sentence(path: Path, error: Exception) -> str:
    reason = _reason(error)
    if "truncated" in reason.lower():
        return f"{path.name} is damaged: the file ends too early. Copy it again from its source."
    return (
        f"{path.name} cannot be decoded ({reason}). It is damaged or of a rare kind: copy it again from its source, or "
        "open it in another program and save it as PNG."
    )


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 120 else words[:119] + "…"


# Decoding


def _decode(
    image: Image.Image,
) -> tuple[Picture, npt.NDArray[np.uint8] | None, bytes | None, list[str]]:
    """Pixels, alpha, the profile to give back, and notes. Upright and in sRGB."""
    rawmode = _rawmode(image)
    with _silent_stderr() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()
    profile = image.info.get("icc_profile")
    notes: list[str] = []
    colours, alpha = _colours_and_alpha(image, rawmode, notes)
    colours, kept_profile = _to_srgb(colours, profile if isinstance(profile, bytes) else b"", notes)
    pixels: Picture = np.array(colours)
    if alpha is not None:
        if not alpha.any() and image.format in _SPARE_ALPHA:
            notes.append("All of it was transparent, so its transparency was left out.")
            alpha = None
        elif alpha.min() == 255:
            alpha = None
        else:
            pixels[alpha == 0] = 255
    orientation = _orientation(image)
    return (
        _upright(pixels, orientation),
        None if alpha is None else _upright(alpha, orientation),
        kept_profile,
        notes,
    )


def _has_deep_colours(image: Image.Image) -> bool:
    """Whether a file has 16 bits a colour that can be had. Ask before loading."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.mode in ("RGB", "RGBA") and 16 in image.tag_v2.get(ExifTags.Base.BitsPerSample, ())
    return image.format == "PNG" and ";16" in _rawmode(image)


def _deep_levels(image: Image.Image, path: Path) -> npt.NDArray[np.float32] | None:
    """[H, W, 3] in 0..255 with fractions, upright, in sRGB, on white; None if no more than 8 bits of it can be had."""
    # Pillow turns TIFF while loading, but not the samples read beside it.
    turned = _orientation(image) if image.format == "TIFF" else 1
    with _silent_stderr() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()
    profile = image.info.get("icc_profile")
    grey = image.mode.startswith(("I", "F"))
    if isinstance(profile, bytes) and profile and not _means_srgb(profile, grey):
        return None
    orientation = _orientation(image)
    if grey:
        return _deep_on_white(*_deep_grey(image), orientation)
    try:
        deep, alpha = _deep_colours(image, path.read_bytes())
    except MemoryError:
        raise
    except Exception:  # Pillow has read it, so it is whole, only of a rare kind.
        return None
    return _deep_on_white(deep, alpha, max(turned, orientation))


def _deep_grey(image: Image.Image) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """[H, W, 1] in 0..255 with fractions, multiplied by its transparency [H, W, 1] in 0..1."""
    values = _grey_values(image)[..., None]
    levels = _levels(values, image.format, []).astype(np.float32)
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return levels, None
    seen = (values != key).astype(np.float32)
    return levels * seen, seen


def _deep_colours(image: Image.Image, data: bytes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """[H, W, 1 or 3] in 0..255 with fractions and [H, W, 1] transparency in 0..1 of a PNG or TIFF, as stored.

    The colours are multiplied by the transparency.
    """
    fourth = _STRAIGHT_ALPHA
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        fourth = image.tag_v2.get(ExifTags.Base.ExtraSamples, (fourth,))[0]
        with _silent_stderr():
            samples = tiff_samples(data, image.tag_v2)
    else:
        samples = png_samples(data)
    channels = 3 if samples.shape[-1] >= 3 else 1
    stored, rest = samples[..., :channels], samples[..., channels:]
    colours = np.divide(stored, 257, dtype=np.float32)
    key = image.info.get("transparency")
    if isinstance(key, tuple):
        seen = (stored != np.array(key)).any(axis=-1, keepdims=True).astype(np.float32)
        return colours * seen, seen
    if rest.shape[-1] == 0 or fourth == _NO_ALPHA:
        return colours, None
    alpha = np.divide(rest, 65535, dtype=np.float32)
    return (colours * alpha if fourth == _STRAIGHT_ALPHA else colours), alpha


def _deep_on_white(
    colours: npt.NDArray[np.float32], alpha: npt.NDArray[np.float32] | None, orientation: int
) -> npt.NDArray[np.float32]:
    """[H, W, 1 or 3] multiplied by [H, W, 1] transparency, as stored -> [H, W, 3] on white paper, upright."""
    if alpha is not None:
        colours = colours + 255 * (1 - alpha)
    return np.repeat(_upright(colours, orientation), 3 // colours.shape[-1], axis=-1)


def _rawmode(image: Image.Image) -> str:
    """How the file stores its pixels in the words of Pillow ("RGB;16B"), "" if unknown. Ask before loading."""
    tile = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else ""
    if isinstance(arguments, tuple) and arguments:
        arguments = arguments[0]
    return arguments if isinstance(arguments, str) else ""


def _frame_count(image: Image.Image) -> int:
    if image.format == "PSD":  # These are layers; what is read is all of them, merged.
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # A broken chain of frames; the first one may well be whole.
        return 1


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


def _on_white(pixels: Picture, alpha: npt.NDArray[np.uint8] | None) -> Picture:
    """The picture as it looks on white paper."""
    if alpha is None:
        return pixels
    paper = Image.new("RGB", (pixels.shape[1], pixels.shape[0]), "white")
    paper.paste(Image.fromarray(pixels), mask=Image.fromarray(alpha))
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


# Colour profiles


def _to_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> tuple[Image.Image, bytes | None]:
    """RGB in sRGB, and the profile to give back to the result (RGB profiles only)."""
    if image.mode == "CMYK":
        notes.append("The source is CMYK; the result is RGB.")
    if not profile:
        return image.convert("RGB"), None
    try:
        space = _colour_space(profile)
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if (space, image.mode) not in {("RGB", "RGB"), ("GRAY", "L"), ("CMYK", "CMYK")}:
            notes.append("Its colour profile does not fit its pixels and was left out.")
            return image.convert("RGB"), None
        converted = _applied(_into_srgb(profile, image.mode), image)
    except MemoryError:
        raise
    except Exception:  # The profile comes from strangers, and a picture is readable without it.
        notes.append("Its colour profile is damaged and was left out.")
        return image.convert("RGB"), None
    return converted, profile if space == "RGB" else _srgb_profile()


def _means_srgb(profile: bytes, grey: bool) -> bool:
    """Whether the colours of a picture with this profile are those of sRGB, but for one level of 256."""
    try:
        space = _colour_space(profile)
        if space == "GRAY" and grey:
            levels = np.arange(256, dtype=np.uint8)[None]
            result = np.asarray(_applied(_into_srgb(profile, "L"), Image.fromarray(levels)))
            return int(np.abs(result.astype(np.int16) - levels[..., None]).max()) <= 1
        return space == "RGB" and _into_srgb(profile, "RGB") is None
    except MemoryError:
        raise
    except Exception:  # The profile comes from strangers.
        return False


def _with_profile(pixels: Picture, profile: bytes | None, notes: list[str]) -> tuple[Picture, dict[str, Any]]:
    """SRGB -> the colours of `profile`, and the option that embeds it: pixels and label must agree."""
    if profile is None:
        return pixels, {}
    try:
        pixels = np.asarray(_applied(_out_of_srgb(profile), Image.fromarray(pixels)))
    except MemoryError:
        raise
    except Exception:  # A scanner's profile may lead into sRGB, but not back.
        notes.append("Its colour profile cannot be written to; the result has the profile sRGB.")
        profile = _srgb_profile()
    return pixels, {"icc_profile": profile}


def _opened_profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def _colour_space(profile: bytes) -> str:
    return str(_opened_profile(profile).profile.xcolor_space).strip()


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# Making a transform takes longer than decoding a small picture, and those of a folder mostly share one profile.


@lru_cache(maxsize=16)
def _into_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from pixels of `mode` into sRGB, None if it changes nothing."""
    transform = _transform(_opened_profile(profile), _opened_profile(_srgb_profile()), mode)
    return None if mode == "RGB" and _changes_nothing(transform) else transform


@lru_cache(maxsize=16)
def _out_of_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """The way from sRGB into the RGB of a profile, None if it changes nothing."""
    transform = _transform(_opened_profile(_srgb_profile()), _opened_profile(profile), "RGB")
    return None if _changes_nothing(transform) else transform


def _transform(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, mode: str
) -> ImageCms.ImageCmsTransform:
    """From `source`, with pixels of `mode`, to the RGB of `target`."""
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)


def _applied(transform: ImageCms.ImageCmsTransform | None, image: Image.Image) -> Image.Image:
    if transform is None:
        return image
    result = ImageCms.applyTransform(image, transform)
    assert result is not None  # It is None for work in place only.
    return result


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform of RGB moves no colour by more than one level: the profile is sRGB by any name.

    Such pixels are left bit-exact.
    """
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(17, -1, 3)
    result = np.asarray(_applied(transform, Image.fromarray(grid)))
    return int(np.abs(result.astype(np.int16) - grid).max()) <= 1


# EXIF


def _read_exif(image: Image.Image) -> tuple[bytes, bool]:
    """The EXIF data of a file with its heading, b"" for none, and whether there was some that is damaged."""
    try:
        if image.format == "TIFF":
            return _descriptive_exif(image.getexif()), False
        raw = image.info.get("exif")
        if not isinstance(raw, bytes):
            exif = image.getexif()  # PNG has other places for it, too.
            raw = exif.tobytes() if len(exif) else b""
        if not raw:
            return b"", False
        raw = HEADING + raw.removeprefix(HEADING)
        return (raw, False) if exif_of_result(raw, 1, 1) else (b"", True)
    except MemoryError:
        raise
    except Exception:
        return b"", True


def _descriptive_exif(exif: Image.Exif) -> bytes:
    """What a TIFF says about its picture, without what it says about its own layout."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        if tag in exif:
            kept[tag] = exif[tag]
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if values := exif.get_ifd(ifd):
            kept[ifd] = dict(values)
    return kept.tobytes() if len(kept) else b""


# Encoding


def _output_kind(source: SourcePicture, format: OutputFormat, shape: tuple[int, ...]) -> tuple[str, str]:
    """The format to write, and a note if it is not the one asked for."""
    wanted = _KEPT_AS.get(source.format, source.format) if format == "keep" else _CHOSEN[format]
    writer = _WRITERS.get(wanted)
    Image.init()  # Pillow loads the less common formats when they are first needed.
    if writer is None or wanted not in Image.SAVE:
        return "PNG", f"Saved as PNG, since {_shown(wanted)} cannot be written."
    if max(shape) > writer.longest:
        return "PNG", f"Saved as PNG, since {_shown(wanted)} cannot be larger than {writer.longest} pixels a side."
    if wanted == "BMP" and source.alpha is not None:
        return "PNG", "Saved as PNG, since BMP cannot be transparent."
    return wanted, ""


def _shown(kind: str) -> str:
    return {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}.get(kind, kind)


def _encoder_options(kind: str, quality: int) -> dict[str, Any]:
    if kind == "JPEG":
        return {"quality": quality, "subsampling": "4:4:4"}
    if kind == "WEBP":
        return {"quality": quality}
    if kind == "AVIF":
        return {"quality": quality, "subsampling": "4:4:4"}
    return {}


def _encoded(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    if kind != "TIFF":
        image.save(buffer, kind, **options)
    elif "exif" in options:
        # Pillow writes the lists within EXIF data only without libtiff, and without libtiff it cannot compress.
        exif = Image.Exif()
        exif.load(options["exif"])
        image.save(buffer, kind, **(options | {"exif": _descriptive_exif(exif)}))
    else:
        with _silent_stderr():
            image.save(buffer, kind, compression="tiff_lzw", **options)
    return buffer.getvalue()


def _result_name(name: str, writer: _Writer) -> str:
    """The source's name; only an ending that belongs to another format of pictures is exchanged."""
    stem, dot, ending = name.rpartition(".")
    suffix = dot + ending.lower()
    if suffix in writer.suffixes:
        return name
    return (stem if stem and suffix in PICTURE_SUFFIXES else name) + writer.suffix


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
