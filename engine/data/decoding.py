"""From an image that Pillow has opened to pixels in sRGB, upright: bit depths, channels, transparency, profiles.

Needs no torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, TiffImagePlugin

from engine.data.colour import colour_space, fine_into_srgb, image_into_srgb, is_fine, means_srgb, srgb_profile
from engine.data.metadata import read_dpi, stored_bits
from engine.data.quiet import silent_stderr
from engine.data.sixteen_bits import Samples, heif_samples, png_samples, tiff_samples, tifffile_samples
from engine.data.source_file import Frame, Pixels
from engine.events import Picture

_Scalar = TypeVar("_Scalar", bound=np.generic)

# Programs write these with 32 bits and leave the fourth byte 0 without meaning that nothing is to be seen.
_SPARE_ALPHA = ("BMP", "DIB", "TGA")

# What a fourth channel of a TIFF is.
_NO_ALPHA, _PREMULTIPLIED_ALPHA, _STRAIGHT_ALPHA = 0, 1, 2

_ICC_TAG = 34675

# Share of pixels outside sRGB from which on it is said.
_NOTED_SHARE = 0.001

_BAD_PROFILE = "Its colour profile is damaged or does not fit its pixels, and was left out."


@dataclass(frozen=True, slots=True)
class Stored:
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


@contextlib.contextmanager
def unmoved(file: BinaryIO) -> Iterator[None]:
    """Leave a file where it stands: Pillow reads on there. By its path it might be another one by now."""
    place = file.tell()
    try:
        yield
    finally:
        file.seek(place)


def stored_as(image: Image.Image, file: BinaryIO) -> Stored:
    """What is known of an image that has not been loaded yet."""
    with unmoved(file):
        bits = stored_bits(image, file)
    tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    if tiff:
        deep = image.mode in ("RGB", "RGBA", "RGBX", "LA") and bits == 16
    else:
        still = getattr(image, "n_frames", 1) == 1
        deep = (image.format == "PNG" and bits == 16 and still) or (image.format == "HEIF" and bits > 8)
    deep = deep and not image.mode.startswith(("I", "F"))
    return Stored(_rawmode(image), bits, deep, orientation_of(image) if tiff else 1)


def decoded(
    image: Image.Image, file: BinaryIO, stored: Stored, *, fine: bool = False, orientation: int | None = None
) -> Frame:
    """The frame that an opened file stands at, upright and in sRGB.

    Args:
        image: The picture.
        file: What it was opened from.
        stored: What was known of it before.
        fine: Whether to have all of its levels, and as many in sRGB as it takes to come back from there. Else uint8.
        orientation: EXIF orientation that is still to be applied; None to ask the loaded picture.
    """
    with silent_stderr() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()
    if orientation is None:
        orientation = orientation_of(image)
    notes: list[str] = []
    # Pillow brings LAB into sRGB by itself.
    profile = b"" if image.mode == "LAB" else profile_of(image)
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


def profile_of(image: Image.Image) -> bytes:
    """Its colour profile, b"" where it has none."""
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
    image: Image.Image, file: BinaryIO, stored: Stored, notes: list[str]
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
    with unmoved(file):
        file.seek(0)
        if image.format == "PNG":
            return png_samples(file.read())
        if not isinstance(image, TiffImagePlugin.TiffImageFile):
            return heif_samples(file)
        return _tiff_samples(image, file)


def _tiff_samples(image: TiffImagePlugin.TiffImageFile, file: BinaryIO) -> Samples:
    try:
        with silent_stderr():
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


def on_white(frame: Frame) -> Picture:
    """A frame of 8 bits as it looks on white paper."""
    pixels: Any = frame.pixels
    if frame.alpha is None:
        return np.asarray(pixels, np.uint8)
    paper = Image.new("RGB", (pixels.shape[1], pixels.shape[0]), "white")
    paper.paste(Image.fromarray(pixels), mask=Image.fromarray(frame.alpha))
    return np.array(paper)


def orientation_of(image: Image.Image) -> int:
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
