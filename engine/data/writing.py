"""Results as files: formats, metadata, profiles, transparency, depth, frames, and a note for all that cannot be kept.

Whatever a format has room for goes with the picture, also when the format changes; docs/conversion.md has the table.
Needs no torch. Every failure is a `PictureError` with a sentence, and nothing is printed.
"""

from __future__ import annotations

import io
import itertools
import logging
import math
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, features

from engine.config import OutputFormat, OutputSettings
from engine.data.colour import means_srgb, out_of_srgb, srgb_profile
from engine.data.containers import gif_file, jp2_file, webp_file
from engine.data.deep_writing import Stored, exif_with, png_file, tiff_file
from engine.data.exif import exif_of_result, has_geo_tags, without_geo_tags
from engine.data.folders import PICTURE_SUFFIXES
from engine.data.source_file import EncodedFile, Frame, Pixels, SourceFile
from engine.errors import PictureError

# Pillow logs some damage as errors, and Python prints what no handler takes. An app that has handlers still gets it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """What a format can hold.

    Attributes:
        shown: Its name in sentences.
        suffixes: Every ending that is left as it is, the usual one first.
        also: Further endings that do not lie, but are exchanged for the usual one.
        longest: Its longest side in pixels.
        alpha: Whether it can be transparent.
        deep: Whether it can have 16 bits a channel.
        exif: Whether it has room for EXIF data.
        xmp: Whether it has room for XMP.
        profile: Whether it has room for a colour profile.
        dpi: Whether it has room for the resolution, other than within EXIF data.
        comment: Whether it has room for a comment.
        animated: Whether it has frames with times.
        pages: Whether it has pages.
    """

    shown: str
    suffixes: tuple[str, ...]
    also: tuple[str, ...] = ()
    longest: int = 1_000_000
    alpha: bool = True
    deep: bool = False
    exif: bool = True
    xmp: bool = True
    profile: bool = True
    dpi: bool = True
    comment: bool = False
    animated: bool = False
    pages: bool = False

    @property
    def one(self) -> str:
        """Its name with "a" or "an"."""
        return f"{'an' if self.shown[0] == 'A' else 'a'} {self.shown}"


_FORMATS = {
    "JPEG": _Format(
        shown="JPEG",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
        also=(".mpo",),
        longest=65_500,
        alpha=False,
        comment=True,
    ),
    "PNG": _Format(shown="PNG", suffixes=(".png", ".apng"), deep=True, animated=True, comment=True),
    "WEBP": _Format(shown="WebP", suffixes=(".webp",), longest=16_383, dpi=False, animated=True),
    "TIFF": _Format(shown="TIFF", suffixes=(".tif", ".tiff"), deep=True, pages=True),
    "BMP": _Format(
        shown="BMP", suffixes=(".bmp", ".dib"), longest=65_535, alpha=False, exif=False, xmp=False, profile=False
    ),
    "GIF": _Format(
        shown="GIF",
        suffixes=(".gif",),
        longest=65_535,
        exif=False,
        profile=False,
        dpi=False,
        animated=True,
        comment=True,
    ),
    "AVIF": _Format(shown="AVIF", suffixes=(".avif", ".avifs"), longest=65_535, dpi=False, animated=True),
    "JPEG2000": _Format(
        shown="JPEG 2000", suffixes=(".jp2", ".jpx", ".jpf"), also=(".j2k", ".j2c", ".jpc"), profile=False
    ),
    "HEIF": _Format(shown="HEIC", suffixes=(".heic", ".heif", ".hif"), longest=16_384, dpi=False, pages=True),
}
_KEPT_AS = {"MPO": "JPEG", "DIB": "BMP", "HEIC": "HEIF"}
_CHOSEN: dict[OutputFormat, str] = {
    "jpg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "tiff": "TIFF",
    "bmp": "BMP",
    "gif": "GIF",
    "avif": "AVIF",
    "jp2": "JPEG2000",
    "heic": "HEIF",
}
_FEATURES = {"JPEG": "jpg", "PNG": "zlib", "WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}

# A segment of a JPEG has up to 65,533 bytes, and XMP begins with a heading of 29.
_LONGEST_JPEG_EXIF, _LONGEST_JPEG_XMP, _LONGEST_JPEG_COMMENT = 65_533, 65_504, 65_533

# XMP repeats what EXIF says of the layout, as attributes or as elements.
_XMP_ORIENTATION = re.compile(rb"(\btiff:Orientation\s*(?:=\s*[\"']|>)\s*)[0-9](?=\s*[\"'<])")
_XMP_WIDTH = re.compile(rb"(\b(?:tiff:ImageWidth|exif:PixelXDimension)\s*(?:=\s*[\"']|>)\s*)[0-9]+(?=\s*[\"'<])")
_XMP_HEIGHT = re.compile(rb"(\b(?:tiff:ImageLength|exif:PixelYDimension)\s*(?:=\s*[\"']|>)\s*)[0-9]+(?=\s*[\"'<])")
# What points to a second packet of a JPEG, which is not kept.
_XMP_SECOND = re.compile(rb"\sxmpNote:HasExtendedXMP\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')")

# Resolutions beyond these say nothing about a picture, and do not fit into every format.
_LEAST_DPI, _MOST_DPI = 1.0, 65_535.0

# Pixels that the palette of a GIF is made of.
_SAMPLED_PIXELS = 4096

# Rows worked on at once have about so many values.
_BLOCK = 1 << 22


@dataclass(slots=True)
class _Plan:
    """What one file will be.

    Attributes:
        kind: Pillow's name of the format.
        output: What the user chose.
        count: How many frames it has.
        animated: Whether these follow one another in time.
        loops: How often they are shown, 0 for ever.
        exif: EXIF data of the result, b"" for none.
        xmp: XMP of the result, b"" for none.
        comment: Comment of the result, b"" for none.
        notes: What could not be kept; grows while the frames are written.
    """

    kind: str
    output: OutputSettings
    count: int
    animated: bool
    loops: int
    exif: bytes = b""
    xmp: bytes = b""
    comment: bytes = b""
    notes: list[str] = field(default_factory=list)

    @property
    def format(self) -> _Format:
        return _FORMATS[self.kind]


def can_write(format: OutputFormat) -> bool:
    """Whether results can be written in a format on this machine."""
    return format == "keep" or _can_write(_CHOSEN[format])


def expected_suffix(format: OutputFormat, source: Path) -> str:
    """The ending that the result of a picture usually gets, told by its name alone."""
    if format == "keep":
        return source.suffix
    suffixes = _FORMATS[_CHOSEN[format] if can_write(format) else "PNG"].suffixes
    return source.suffix if source.suffix.lower() in suffixes else suffixes[0]


def encode_frames(frames: Iterable[Frame], source: SourceFile, output: OutputSettings) -> EncodedFile:
    """A result as a file, with all of its source that the format can hold.

    Args:
        frames: The translated frames, sRGB, uint8 or uint16. They are taken one by one, and only the first one if the
            format holds no more.
        source: What they were made of.
        output: The format and how it is written.

    Returns:
        The file. Its notes are those of writing only, not what `source` and `frames` say already.

    Raises:
        PictureError: It cannot be encoded, or there are no frames.
        MemoryError: It does not fit into memory.
        Exception: Whatever taking the frames raises.
    """
    failures: list[Exception] = []
    taken = _watched(frames, failures)
    first = next(taken, None)
    if first is None:
        raise PictureError(f"{source.path.name} has no picture in it. Leave it out.")
    plan = _planned(first, source, output)
    suffix = _suffix(plan, source)
    try:
        pictures = _pictures(itertools.chain([first], taken), plan, source.path.name)
        data = _encoded(pictures, plan, source)
    except (MemoryError, PictureError):
        raise
    except Exception as error:
        if error in failures:
            raise
        raise PictureError(
            f"The result of {source.path.name} cannot be written as {plan.format.shown} ({_reason(error)}). "
            f"Choose another format, such as {'TIFF' if plan.kind == 'PNG' else 'PNG'}."
        ) from error
    return EncodedFile(data, suffix, tuple(dict.fromkeys(plan.notes)))


def _watched(frames: Iterable[Frame], failures: list[Exception]) -> Iterator[Frame]:
    """The frames; what taking one raises is no failure of writing, and is told apart by `failures`."""
    try:
        yield from frames
    except Exception as error:
        failures.append(error)
        raise


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 120 else words[:119] + "…"


# What the file will be


def _planned(first: Frame, source: SourceFile, output: OutputSettings) -> _Plan:
    kind, reason = _output_kind(first, source, output.format)
    format = _FORMATS[kind]
    several = source.frame_count > 1
    holds = format.pages or (format.animated and source.is_animated)
    animated = several and source.is_animated and format.animated
    plan = _Plan(kind, output, source.frame_count if holds else 1, animated, source.loops)
    if reason:
        plan.notes.append(reason)
    if several and not holds:
        frames = "frames" if source.is_animated else "pages"
        plan.notes.append(f"Only the first of {source.frame_count} {frames} fits {format.one}.")
    elif several and source.is_animated and not animated:
        plan.notes.append(f"Its frames became pages, which have no timing: {format.shown}.")
    if animated and kind == "AVIF" and source.loops:
        plan.notes.append(f"Its animation is shown for ever instead of {_times(source.loops)}: AVIF.")
    if output.lossless and kind == "AVIF" and not output.grey:
        plan.notes.append("AVIF cannot keep every pixel here; it was written at its highest quality.")
    _label(plan, first, source)
    return plan


def _output_kind(first: Frame, source: SourceFile, format: OutputFormat) -> tuple[str, str]:
    """The format to write, and a note if it is not the one asked for."""
    wanted = _KEPT_AS.get(source.format, source.format) if format == "keep" else _CHOSEN[format]
    if not _can_write(wanted):
        shown = _FORMATS[wanted].shown if wanted in _FORMATS else wanted
        return "PNG", f"Saved as PNG, since {shown} cannot be written."
    longest = _FORMATS[wanted].longest
    if max(first.pixels.shape[:2]) > longest:
        return "PNG", f"Saved as PNG, since {_FORMATS[wanted].shown} cannot be larger than {longest} pixels a side."
    if wanted == "BMP" and format == "keep" and first.alpha is not None:
        return "PNG", "Saved as PNG, since BMP cannot be transparent."
    return wanted, ""


@lru_cache(maxsize=32)
def _can_write(kind: str) -> bool:
    if kind == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            return False
        return bool(pillow_heif.libheif_info()["HEIF"])
    Image.init()  # Pillow loads the less common formats when they are first needed.
    known = kind in _FORMATS and kind in Image.SAVE
    return known and (kind not in _FEATURES or bool(features.check(_FEATURES[kind])))


def _suffix(plan: _Plan, source: SourceFile) -> str:
    format, own = plan.format, source.path.suffix
    if own.lower() in format.suffixes:
        return own
    kept = plan.output.format == "keep" and plan.kind == _KEPT_AS.get(source.format, source.format)
    if kept and own.lower() in PICTURE_SUFFIXES - {*format.suffixes, *format.also}:
        plan.notes.append(f"The file is {format.one} in spite of its name, so the result ends in {format.suffixes[0]}.")
    return format.suffixes[0]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


# Metadata


def _label(plan: _Plan, first: Frame, source: SourceFile) -> None:
    """Decide on the EXIF data and the XMP of the result, and note what there is no room for."""
    format, notes = plan.format, plan.notes
    dpi = _sound_dpi(first.dpi)
    missing = []
    if source.exif and not format.exif:
        missing.append("EXIF data")
    if source.xmp and not format.xmp:
        missing.append("XMP")
    if source.comment and not format.comment:
        missing.append("its comment")
    if dpi and not format.dpi and not format.exif:
        missing.append("its resolution")
    if first.icc_profile and not format.profile and not means_srgb(first.icc_profile):
        missing.append("its colour profile (the colours are sRGB)")
    if missing:
        listed = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        notes.append(f"{format.one[0].upper()}{format.one[1:]} has no room for {listed}.")
    if format.exif:
        plan.exif = _result_exif(plan, first, source, None if format.dpi else dpi)
    if format.comment and source.comment:
        plan.comment = source.comment
        if plan.kind == "JPEG" and len(source.comment) > _LONGEST_JPEG_COMMENT:
            plan.comment = b""
            notes.append("Its comment is too long for a JPEG and was left out.")
    if format.xmp and source.xmp:
        text = _as_utf8(source.xmp)
        plan.xmp = _xmp_of_result(text or source.xmp, first.pixels.shape[1], first.pixels.shape[0])
        if plan.kind == "JPEG" and len(plan.xmp) > _LONGEST_JPEG_XMP:
            plan.xmp = b""
            notes.append("Its XMP is too long for a JPEG and was left out.")
        elif plan.kind == "PNG" and not text:
            plan.xmp = b""
            notes.append("Its XMP is no text and was left out.")


def _result_exif(plan: _Plan, first: Frame, source: SourceFile, dpi: tuple[float, float] | None) -> bytes:
    found = source.exif
    if source.format == "TIFF" and has_geo_tags(found):
        if plan.kind != "TIFF":
            found = without_geo_tags(found)
            plan.notes.append(f"Its place on the map was left out: {plan.format.shown}.")
        elif first.pixels.shape[1::-1] != source.size:
            found = without_geo_tags(found)
            plan.notes.append("Its place on the map was left out, since the size changed.")
    exif = exif_of_result(found, first.pixels.shape[1], first.pixels.shape[0]) if found else b""
    try:
        # To what Pillow and pillow-heif find an orientation in, they do more than to write it.
        exif = exif_with(exif, dpi=dpi, orientation=plan.kind not in ("AVIF", "HEIF"))
    except ValueError:
        exif = b""
    if found and not exif:
        plan.notes.append("Its EXIF data is damaged and was left out.")
    if plan.kind == "JPEG" and len(exif) > _LONGEST_JPEG_EXIF:
        plan.notes.append("Its EXIF data is too long for a JPEG and was left out.")
        return b""
    return exif


def _sound_dpi(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    if dpi is None or not all(math.isfinite(value) and _LEAST_DPI <= value <= _MOST_DPI for value in dpi):
        return None
    return float(dpi[0]), float(dpi[1])


def _xmp_of_result(xmp: bytes, width: int, height: int) -> bytes:
    """The packet for a result: upright and of its size, all else byte for byte."""
    xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    xmp = _XMP_WIDTH.sub(rb"\g<1>%d" % width, xmp)
    xmp = _XMP_HEIGHT.sub(rb"\g<1>%d" % height, xmp)
    return _XMP_SECOND.sub(b"", xmp)


def _as_utf8(xmp: bytes) -> bytes:
    """The packet as most formats must have it, b"" if it is no text."""
    for encoding in ("utf-8", "utf-16", "utf-16-le", "utf-16-be"):
        try:
            text = xmp.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.encode()
    return b""


def _comment_in_utf8(comment: bytes) -> bytes:
    """Old comments are in whatever letters their program had; those of western Europe are the most likely ones."""
    try:
        comment.decode()
    except UnicodeDecodeError:
        comment = comment.decode("latin-1").encode()
    return comment.replace(b"\0", b"")


# Pixels


def _pictures(frames: Iterable[Frame], plan: _Plan, name: str) -> Iterator[Stored]:
    """The frames as they are to be stored, one by one; no more of them are taken than the format holds.

    Raises:
        PictureError: Those of an animation are not all of one size.
    """
    first: Stored | None = None
    for frame in frames if plan.count > 1 else itertools.islice(frames, 1):
        # The frames of an animation share the size and the profile of the file.
        shared = first if plan.animated else None
        picture = _stored(frame, shared.icc_profile if shared else frame.icc_profile, plan)
        if shared and picture.samples.shape[:2] != shared.samples.shape[:2]:
            raise PictureError(
                f"The frames of {name} are not all of one size, which {plan.format.one} cannot hold. Choose TIFF."
            )
        first = first or picture
        yield picture


def _stored(frame: Frame, profile: bytes | None, plan: _Plan) -> Stored:
    format, grey, notes = plan.format, plan.output.grey, plan.notes
    pixels, alpha = frame.pixels, frame.alpha
    if alpha is None and plan.animated and plan.kind in ("PNG", "AVIF", "GIF"):
        # A later frame may be transparent: in these all frames have alpha or none, or none would clear what it covers.
        alpha = np.full(pixels.shape[:2], np.iinfo(pixels.dtype).max, pixels.dtype)
    if alpha is not None and alpha.dtype != pixels.dtype:
        alpha = _deepened(alpha) if pixels.dtype == np.uint16 else _rounded(alpha)
    if alpha is not None and not format.alpha:
        pixels, alpha = _on_white(pixels, alpha), None
        notes.append(f"{format.shown} cannot be transparent; transparent parts became white.")
    if not format.profile:
        profile = None
    elif profile is not None and grey:
        if not means_srgb(profile):
            notes.append("Its colour profile is one for colours and was left out of the grey result.")
        profile = None
    elif profile is not None:
        pixels, profile = _in_profile(pixels, profile, notes)
    samples: Pixels = _grey(pixels) if grey else pixels
    if not (frame.depth == 16 and _holds_sixteen_bits(plan, alpha)):
        samples, alpha = _rounded(samples), None if alpha is None else _rounded(alpha)
    if frame.depth == 16 and samples.dtype == np.uint8:
        notes.append(f"16 to 8 bits: {format.shown}.")
    if alpha is not None:
        if plan.kind == "TIFF" and samples.dtype == np.uint16 and grey:
            samples = samples[..., None][..., [0, 0, 0]]  # Most programs read no grey of 16 bits with alpha.
        samples = _beside(samples, alpha)
    return Stored(samples, profile, _sound_dpi(frame.dpi), frame.milliseconds)


def _holds_sixteen_bits(plan: _Plan, alpha: Pixels | None) -> bool:
    # Of JPEG 2000 with more than 8 bits Pillow writes grey only.
    return plan.format.deep or (plan.kind == "JPEG2000" and plan.output.grey and alpha is None)


def _in_profile(pixels: Pixels, profile: bytes, notes: list[str]) -> tuple[Pixels, bytes]:
    """SRGB -> the colours of `profile`, and the profile that they now have."""
    try:
        return out_of_srgb(pixels, profile), profile
    except ValueError:
        notes.append("Its colour profile cannot be written to; the result has the profile sRGB.")
        return pixels, srgb_profile()


def _grey(pixels: Pixels) -> Pixels:
    """[H, W, 3] -> [H, W]: the luma of ITU-R 601; where the three channels agree, their very level."""
    result = np.empty(pixels.shape[:2], pixels.dtype)
    for rows in _blocks(pixels):
        red, green, blue = np.moveaxis(pixels[rows].astype(np.uint32), -1, 0)
        result[rows] = (19_595 * red + 38_470 * green + 7_471 * blue + 32_768) >> 16
    return result


def _on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    """The picture as it looks on white paper."""
    white = np.uint32(np.iinfo(pixels.dtype).max)
    result = np.empty_like(pixels)
    for rows in _blocks(pixels):
        seen = alpha[rows, :, None].astype(np.uint32)
        result[rows] = (pixels[rows] * seen + white * (white - seen) + white // 2) // white
    return result


def _rounded(values: Pixels) -> npt.NDArray[np.uint8]:
    """16 bits -> 8 bits, rounded; 8 bits stay as they are."""
    if values.dtype == np.uint8:
        return values  # type: ignore[return-value]
    result = np.empty(values.shape, np.uint8)
    for rows in _blocks(values):
        # Division by 257, rounded; a true division is several times slower.
        result[rows] = (values[rows].astype(np.uint32) * 255 + 32_895) >> 16
    return result


def _beside(samples: Pixels, alpha: Pixels) -> Pixels:
    """[H, W] or [H, W, C] and [H, W] -> [H, W, C + 1]."""
    channels = samples if samples.ndim == 3 else samples[..., None]
    result = np.empty((*alpha.shape, channels.shape[-1] + 1), samples.dtype)
    result[..., :-1] = channels
    result[..., -1] = alpha
    return result


def _deepened(values: Pixels) -> Pixels:
    return values.astype(np.uint16) * np.uint16(257)


def _blocks(values: Pixels) -> Iterator[slice]:
    """Rows to work on at once: wider numbers for a whole large picture would fill the memory."""
    rows = max(1, _BLOCK // max(1, math.prod(values.shape[1:])))
    for start in range(0, len(values), rows):
        yield slice(start, start + rows)


# Encoding


def _encoded(pictures: Iterator[Stored], plan: _Plan, source: SourceFile) -> bytes:
    """The whole file."""
    if plan.count > 1:
        return _written(pictures, plan)
    picture = list(pictures)
    try:
        return _written(picture, plan)
    except MemoryError:
        raise
    except Exception:  # EXIF data comes from strangers.
        if not plan.exif:
            raise
        plan.exif = b""
        data = _written(picture, plan)
        plan.notes.append("Its EXIF data could not be kept.")
        return data


def _written(pictures: Iterable[Stored], plan: _Plan) -> bytes:
    match plan.kind:
        case "PNG":
            comment = _comment_in_utf8(plan.comment)
            return png_file(
                pictures,
                exif=plan.exif,
                xmp=plan.xmp,
                comment=comment,
                animated=plan.animated,
                plays=plan.loops,
            )
        case "TIFF":
            return tiff_file(pictures, exif=plan.exif, xmp=plan.xmp, count=plan.count)
        case "GIF":
            plays = plan.loops if plan.animated else 1
            return gif_file(_gif_frames(pictures, plan), xmp=plan.xmp, comment=plan.comment, plays=plays)
        case "WEBP" if plan.animated:
            return _animated_webp(pictures, plan)
        case "AVIF":
            return _avif(pictures, plan)
        case "HEIF":
            return _heic(pictures, plan)
        case _:
            (picture,) = pictures
            return _still(picture, plan)


def _still(picture: Stored, plan: _Plan) -> bytes:
    """JPEG, WebP, BMP or JPEG 2000."""
    output, options = plan.output, dict[str, Any]()
    image = Image.fromarray(picture.samples)
    if plan.kind == "JPEG2000":
        return jp2_file(_plain_jp2(image, picture.samples, output), exif=plan.exif, xmp=plan.xmp, dpi=picture.dpi)
    if plan.kind == "JPEG":
        options = {"quality": output.quality, "subsampling": output.chroma}
    elif plan.kind == "WEBP":
        options = _webp_options(output)
    if picture.dpi and plan.format.dpi:
        options["dpi"] = picture.dpi
    if picture.icc_profile:
        options["icc_profile"] = picture.icc_profile
    if plan.exif:
        options["exif"] = plan.exif
    if plan.xmp:
        options["xmp"] = plan.xmp
    if plan.comment:
        options["comment"] = plan.comment
    if plan.kind == "BMP" and not picture.dpi:
        options["dpi"] = (0, 0)  # Pillow would say 96.
    data = _saved(image, plan.kind, options)
    return _with_exact_dpi(data, picture.dpi) if plan.kind == "JPEG" and picture.dpi else data


def _with_exact_dpi(jpeg: bytes, dpi: tuple[float, float]) -> bytes:
    """The JPEG with its resolution by the centimetre where only that is a whole number, as Pillow cannot write it."""
    by_centimetre = tuple(value / 2.54 for value in dpi)

    def off(values: tuple[float, ...]) -> float:
        return max(abs(value - round(value)) / value for value in values)

    if jpeg[2:4] != b"\xff\xe0" or jpeg[6:11] != b"JFIF\0" or off(dpi) <= off(by_centimetre) + 1e-9:
        return jpeg
    across, down = (round(value) for value in by_centimetre)
    if not (across and down):
        return jpeg
    return jpeg[:13] + struct.pack(">BHH", 2, across, down) + jpeg[18:]


def _saved(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _plain_jp2(image: Image.Image, samples: Pixels, output: OutputSettings) -> bytes:
    options = {"mct": int(samples.shape[2:] in ((3,), (4,))), "irreversible": not output.lossless}
    if not output.lossless and output.quality < 100:
        # The signal-to-noise ratio in dB that a JPEG of this quality has, about.
        wanted = 30 + 0.15 * output.quality
        data = _saved(image, "JPEG2000", options | {"quality_mode": "dB", "quality_layers": [wanted]})
        # OpenJPEG leaves out the very brightness of some pictures with little in them.
        if _likeness(data, samples) > wanted - 2:
            return data
    return _saved(image, "JPEG2000", options)


def _likeness(data: bytes, samples: Pixels) -> float:
    """Signal-to-noise ratio of an encoded picture in dB."""
    with Image.open(io.BytesIO(data)) as image:
        decoded = np.asarray(image)
    squares = sum(
        float(np.square(decoded[rows].astype(np.float32) - samples[rows]).sum(dtype=np.float64))
        for rows in _blocks(samples)
    )
    peak = float(np.iinfo(samples.dtype).max)
    return 10 * math.log10(peak**2 * samples.size / squares) if squares else math.inf


def _webp_options(output: OutputSettings) -> dict[str, Any]:
    # "exact" keeps also the colours that nobody sees.
    return {"lossless": True, "exact": True} if output.lossless else {"quality": output.quality}


def _animated_webp(pictures: Iterable[Stored], plan: _Plan) -> bytes:
    pictures = iter(pictures)
    first = next(pictures)
    size = first.samples.shape[1], first.samples.shape[0]
    options = _webp_options(plan.output)

    def stills() -> Iterator[tuple[bytes, float]]:
        for picture in itertools.chain([first], pictures):
            milliseconds = _in_steps(picture.milliseconds, 1, plan)
            yield _saved(Image.fromarray(picture.samples), "WEBP", options), milliseconds

    return webp_file(stills(), size, icc_profile=first.icc_profile, exif=plan.exif, xmp=plan.xmp, plays=plan.loops)


def _avif(pictures: Iterable[Stored], plan: _Plan) -> bytes:
    output = plan.output
    images, times, profiles = [], [], []
    opaque = True
    for picture in pictures:
        samples = picture.samples
        opaque = opaque and (samples.shape[2:] not in ((2,), (4,)) or int(samples[..., -1].min()) == 255)
        if samples.shape[2:] == (2,):
            samples = samples[..., [0, 0, 0, 1]]
        images.append(Image.fromarray(samples))
        times.append(_in_steps(picture.milliseconds, 1, plan))
        profiles.append(picture.icc_profile)
    # Grey has no colour to share out.
    if opaque:
        images = [image.convert("L" if output.grey else "RGB") for image in images]
    chroma = "4:0:0" if images[0].mode == "L" else "4:4:4" if output.lossless else output.chroma
    options: dict[str, Any] = {"quality": 100 if output.lossless else output.quality, "subsampling": chroma}
    if profiles[0]:
        options["icc_profile"] = profiles[0]
    if plan.exif:
        options["exif"] = plan.exif
    if plan.xmp:
        options["xmp"] = plan.xmp
    if len(images) > 1:
        # A frame of no time at all cannot be stored.
        options |= {"save_all": True, "append_images": images[1:], "duration": [max(1, time) for time in times]}
    return _saved(images[0], "AVIF", options)


def _heic(pictures: Iterable[Stored], plan: _Plan) -> bytes:
    import pillow_heif

    output = plan.output
    file = pillow_heif.HeifFile()
    for picture in pictures:
        samples = picture.samples
        if samples.shape[2:] == (2,):
            samples = samples[..., [0, 0, 0, 1]]
        mode = {2: "L"}.get(samples.ndim) or {3: "RGB", 4: "RGBA"}[samples.shape[-1]]
        image = file.add_frombytes(mode, (samples.shape[1], samples.shape[0]), np.ascontiguousarray(samples).tobytes())
        image.info |= {"icc_profile": picture.icc_profile} if picture.icc_profile else {}
        # 0 stores red, green and blue themselves, without the rounding of another colour space.
        image.info |= {"matrix_coefficients": 0} if output.lossless and mode != "L" else {}
    options: dict[str, Any] = {"exif": plan.exif or None, "xmp": plan.xmp or None, "primary_index": 0}
    if output.lossless:
        options |= {"quality": -1, "chroma": "444"}
    else:
        options |= {"quality": output.quality, "subsampling": output.chroma}
    buffer = io.BytesIO()
    file.save(buffer, **options)
    return buffer.getvalue()


def _gif_frames(pictures: Iterable[Stored], plan: _Plan) -> Iterator[tuple[Image.Image, int | None, float]]:
    for picture in pictures:
        image, transparency = _with_palette(picture.samples, plan.notes)
        yield image, transparency, _in_steps(picture.milliseconds, 10, plan)


def _with_palette(samples: Pixels, notes: list[str]) -> tuple[Image.Image, int | None]:
    """Of mode "P", and the index of its transparent colour."""
    if samples.ndim == 2:
        image = Image.fromarray(samples)
        image.putpalette(np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())
        return image, None
    clear: npt.NDArray[np.bool_] | None = None
    if samples.shape[-1] in (2, 4):
        alpha = samples[..., -1]
        if ((alpha > 0) & (alpha < 255)).any():
            notes.append("Half transparent parts became wholly opaque or transparent: GIF.")
        clear = alpha < 128
    colours = np.ascontiguousarray(samples[..., :3] if samples.shape[-1] >= 3 else samples[..., [0, 0, 0]])
    room = 256 if clear is None else 255
    image = Image.fromarray(colours)
    if image.getcolors(room) is not None:
        red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
        values, places = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
        indices = places.reshape(colours.shape[:2]).astype(np.uint8)
        palette = np.stack((values >> 16, values >> 8 & 255, values & 255), axis=-1).astype(np.uint8).tobytes()
    else:
        notes.append("Its colours were reduced to 256: GIF.")
        adapted = _sample(colours).quantize(room, Image.Quantize.MEDIANCUT, kmeans=1)
        indices = np.array(image.quantize(palette=adapted, dither=Image.Dither.FLOYDSTEINBERG))
        palette = bytes(adapted.getpalette() or ())[: 3 * room]
    transparency = None
    if clear is not None:
        transparency = len(palette) // 3
        indices[clear] = transparency
        palette += b"\xff\xff\xff"
    result = Image.fromarray(indices)
    result.putpalette(palette)
    return result, transparency


def _sample(colours: npt.NDArray[Any]) -> Image.Image:
    """Some pixels of a picture, which have its colours: a palette of all of them takes ten times as long."""
    pixels = colours.reshape(-1, 3)
    # At random, since a pattern in the picture could fall in with any other one; always the same ones.
    places = np.random.default_rng(0).integers(0, len(pixels), _SAMPLED_PIXELS)
    return Image.fromarray(pixels[places][None])


def _in_steps(milliseconds: float, step: int, plan: _Plan) -> int:
    """A time in whole steps of so many milliseconds; what is shown at all is shown for one at least."""
    if not plan.animated:
        return 0
    rounded = max(round(milliseconds / step), int(milliseconds > 0)) * step
    if abs(rounded - milliseconds) > 0.01:
        plan.notes.append(f"Its timing was rounded to steps of {step} ms: {plan.format.shown}.")
    return rounded
