"""What a format has room for is kept, what it has not is noted, and other people's readers say so, too."""

from __future__ import annotations

import dataclasses
import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageCms, features

from engine.config import OutputFormat, OutputSettings
from engine.data import writing
from engine.data.colour import srgb_profile
from engine.data.containers import HEADING
from engine.data.sixteen_bits import png_samples
from engine.data.source_file import EncodedFile, Frame, SourceFile
from engine.data.writing import can_write, encode_frames, expected_suffix
from engine.errors import OutOfMemoryError, PictureError

XMP = (
    b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF>"
    b'<rdf:Description tiff:Orientation="6" exif:PixelXDimension="4000" dc:title="A horse"/>'
    b"</rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
)

# One picture of each file that has everything; few enough colours for a GIF.
HEIGHT, WIDTH = 12, 16
_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH]
SCENE = np.stack((60 + _X * 8, 60 + _Y * 9, 190 - _X * 4 - _Y * 5), axis=-1).astype(np.uint8)
DEEP = (SCENE.astype(np.uint16) << 8) + (_X * 13 + _Y)[..., None].astype(np.uint16)
HARD_ALPHA = np.where(_X < 4, 0, 255).astype(np.uint8)
SOFT_ALPHA = (_X * 17).astype(np.uint8)


def wide_profile() -> bytes:
    """A profile of three curves and a matrix that reaches further than sRGB: with the primaries of Adobe RGB."""
    profile = bytearray(srgb_profile())
    (count,) = struct.unpack_from(">I", profile, 128)
    primaries = {
        b"rXYZ": (0.6097, 0.3111, 0.0195),
        b"gXYZ": (0.2053, 0.6257, 0.0609),
        b"bXYZ": (0.1492, 0.0632, 0.7446),
    }
    for entry in range(132, 132 + 12 * count, 12):
        name, start, _ = struct.unpack_from(">4sII", profile, entry)
        if name in primaries:
            struct.pack_into(">3i", profile, start + 8, *(round(value * 65536) for value in primaries[name]))
    return bytes(profile)


def camera_exif() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Acme"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"a note of the maker"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = 4000
    return HEADING + exif.tobytes().removeprefix(HEADING)


@dataclass
class Read:
    """A result as other programs see it."""

    frames: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    mode: str = ""
    exif: bytes = b""
    xmp: bytes = b""
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    times: list[float] = field(default_factory=list)
    plays: int | None = None


def read(data: bytes) -> Read:
    """By Pillow and pillow-heif, and for what these do not show, by its place in the file."""
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1"):
        pillow_heif = pytest.importorskip("pillow_heif")
        pictures = list(pillow_heif.open_heif(data))
        info = pictures[0].info
        result = Read([np.array(picture) for picture in pictures], pictures[0].mode)
        result.exif, result.xmp = info.get("exif") or b"", info.get("xmp") or b""
        result.icc_profile = info.get("icc_profile")
        result.dpi = exif_dpi(result.exif)
        return result
    with Image.open(io.BytesIO(data)) as image:
        result = Read(mode=image.mode)
        # How often it is shown: a GIF tells how often it is repeated.
        loop = image.info.get("loop")
        result.plays = loop + 1 if image.format == "GIF" and loop else loop
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            wanted = image.mode if image.mode in ("L", "LA", "RGB", "RGBA", "I;16", "I;16B") else "RGBA"
            result.frames.append(np.array(image.convert(wanted)))
            result.times.append(image.info.get("duration", 0))
        image.seek(0)
        exif = image.getexif()
        result.exif = image.info.get("exif", b"") or (exif.tobytes() if len(exif) else b"")
        result.xmp = image.info.get("xmp", b"")
        result.icc_profile = image.info.get("icc_profile")
        result.dpi = image.info.get("dpi")
        if image.format == "TIFF" and exif.get(ExifTags.Base.ResolutionUnit) != 2:
            result.dpi = None
        if image.format == "JPEG" and not image.info.get("jfif_unit"):
            result.dpi = None
        if image.format in ("WEBP", "AVIF"):
            result.dpi = exif_dpi(result.exif)
        if image.format == "JPEG2000":
            boxes = uuid_boxes(data)
            result.exif, result.xmp = (
                boxes.get(name, b"")
                for name in (b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"))
            )
        if image.format == "GIF" and (start := data.find(b"XMP DataXMP")) > 0:
            result.xmp = data[start + 11 : data.index(b"\x01\xff\xfe", start)]
    return result


def exif_dpi(exif: bytes) -> tuple[float, float] | None:
    tags = Image.Exif()
    tags.load(exif)
    return (float(tags[282]), float(tags[283])) if 282 in tags and tags[296] == 2 else None


def uuid_boxes(data: bytes) -> dict[bytes, bytes]:
    found, place = {}, 0
    while place < len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"uuid":
            found[data[place + 8 : place + 24]] = data[place + 24 : place + length]
        place += length or len(data)
    return found


def source(kind: str = "PNG", name: str = "", **values: object) -> SourceFile:
    return SourceFile(Path(name or "a" + ENDINGS[kind]), kind, (WIDTH, HEIGHT), **values)  # type: ignore[arg-type]


def encode(frame: Frame, of: SourceFile | None = None, **output: object) -> EncodedFile:
    return encode_frames([frame], of or source(), OutputSettings(**output))  # type: ignore[arg-type]


def as_seen(pixels: npt.NDArray[np.uint8], profile: bytes | None) -> npt.NDArray[np.int64]:
    """[H, W, 3] in sRGB, by LittleCMS."""
    image = Image.fromarray(pixels).convert("RGB")
    if profile:
        spaces = [ImageCms.ImageCmsProfile(io.BytesIO(data)) for data in (profile, srgb_profile())]
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        transform = ImageCms.buildTransform(*spaces, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None
        image = converted
    return np.asarray(image).astype(int)


ENDINGS = {
    "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp", "GIF": ".gif", "AVIF": ".avif",
    "JPEG2000": ".jp2", "HEIF": ".heic", "MPO": ".jpg", "DIB": ".bmp", "PSD": ".psd", "PPM": ".ppm",
}  # fmt: skip
KINDS: dict[OutputFormat, str] = {
    "jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP", "gif": "GIF", "avif": "AVIF",
    "jp2": "JPEG2000", "heic": "HEIF",
}  # fmt: skip
SHOWN = {"WEBP": "WebP", "JPEG2000": "JPEG 2000", "HEIF": "HEIC"}
FORMATS = list(KINDS)

# What each format keeps. Whatever is not in its row must be in a note, of which these are parts.
KEEPS: dict[str, set[str]] = {
    "JPEG": {"exif", "xmp", "profile", "dpi"},
    "PNG": {"exif", "xmp", "profile", "dpi", "alpha", "soft", "deep", "frames", "timing", "loops"},
    "WEBP": {"exif", "xmp", "profile", "dpi", "alpha", "soft", "frames", "timing", "loops"},
    "TIFF": {"exif", "xmp", "profile", "dpi", "alpha", "soft", "deep", "frames", "pages"},
    "BMP": {"dpi"},
    "GIF": {"xmp", "alpha", "frames", "timing", "loops"},
    "AVIF": {"exif", "xmp", "profile", "dpi", "alpha", "soft", "frames", "timing"},
    "JPEG2000": {"exif", "xmp", "dpi", "alpha", "soft"},
    "HEIF": {"exif", "xmp", "profile", "dpi", "alpha", "soft", "frames", "pages"},
}
LOSSES = {
    "exif": "EXIF data",
    "xmp": "XMP",
    "profile": "its colour profile",
    "dpi": "its resolution",
    "alpha": "became white",
    "soft": "alf transparent parts",
    "deep": "16 to 8 bits: {shown}.",
    "frames": "Only the first of 3 frames fits",
    "pages": "Only the first of 3 pages fits",
    "timing": "no timing",
    "loops": "shown for ever",
}


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> OutputFormat:
    if not can_write(request.param):
        pytest.skip(f"{request.param} cannot be written on this machine")
    return request.param  # type: ignore[no-any-return]


def lost(encoded: EncodedFile, kind: str, what: str) -> bool:
    part = LOSSES[what].format(shown=SHOWN.get(kind, kind))
    return any(part in note for note in encoded.notes)


# Every format from every format


@pytest.mark.parametrize("kind", sorted(ENDINGS))
def test_what_a_format_has_room_for_is_kept_from_every_format_and_the_rest_is_noted(
    format: OutputFormat, kind: str
) -> None:
    frame = Frame(SCENE, HARD_ALPHA, wide_profile(), (300.0, 150.0))
    encoded = encode(frame, source(kind, exif=camera_exif(), xmp=XMP), format=format, lossless=True, quality=100)
    target = KINDS[format]
    result = read(encoded.data)
    kept = KEEPS[target]
    assert result.frames[0].shape[:2] == (HEIGHT, WIDTH)

    exif = Image.Exif()
    exif.load(result.exif)
    assert (exif.get(ExifTags.Base.Make) == "Acme") == ("exif" in kept) != lost(encoded, target, "exif")
    if "exif" in kept:
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        assert inner[ExifTags.Base.MakerNote] == b"a note of the maker"
        assert inner[ExifTags.Base.ExifImageWidth] == WIDTH

    assert (b"A horse" in result.xmp) == ("xmp" in kept) != lost(encoded, target, "xmp")
    if "xmp" in kept:
        upright = XMP.replace(b'Orientation="6"', b'Orientation="1"').replace(b'"4000"', b'"%d"' % WIDTH)
        assert result.xmp.rstrip(b"\0") == upright

    assert (result.icc_profile == wide_profile()) == ("profile" in kept) != lost(encoded, target, "profile")
    assert (result.dpi == pytest.approx((300, 150), abs=0.02)) == ("dpi" in kept) != lost(encoded, target, "dpi")
    assert (result.frames[0].shape[-1] == 4) == ("alpha" in kept) != lost(encoded, target, "alpha")
    if "alpha" in kept:
        assert np.array_equal(result.frames[0][..., 3], HARD_ALPHA)

    # The colours are the same to everyone's eyes, whatever they are stored in.
    seen = as_seen(result.frames[0][..., :3].copy(), result.icc_profile)
    assert np.abs(seen - SCENE)[:, 6:].max() <= {"JPEG": 8, "AVIF": 5}.get(target, 2)
    if "alpha" not in kept:
        assert seen[:, :2].min() >= 240


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "HEIF"])
def test_keep_writes_the_format_of_the_source(kind: str) -> None:
    chosen = next(format for format, name in KINDS.items() if name == kind)
    if not can_write(chosen):
        pytest.skip(f"{chosen} cannot be written on this machine")
    kept = encode(Frame(SCENE), source(kind))
    assert kept == encode(Frame(SCENE), source(kind), format=chosen)
    assert kept.suffix == ENDINGS[kind]
    assert kept.notes == ()


@pytest.mark.parametrize(("kind", "suffix"), [("MPO", ".jpg"), ("DIB", ".bmp")])
def test_relatives_of_a_format_are_kept_as_it(kind: str, suffix: str) -> None:
    encoded = encode(Frame(SCENE), source(kind))
    assert (encoded.suffix, encoded.notes) == (suffix, ())


@pytest.mark.parametrize("kind", ["PSD", "PPM"])
def test_what_cannot_be_written_becomes_a_png_and_says_so(kind: str) -> None:
    encoded = encode(Frame(SCENE), source(kind))
    assert encoded.suffix == ".png"
    assert encoded.notes == (f"Saved as PNG, since {kind} cannot be written.",)
    assert np.array_equal(read(encoded.data).frames[0], SCENE)


def test_a_format_that_this_machine_lacks_becomes_a_png_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    check = features.check
    monkeypatch.setattr(features, "check", lambda name: name != "avif" and check(name))
    writing._can_write.cache_clear()
    try:
        assert not can_write("avif")
        encoded = encode(Frame(SCENE), format="avif")
    finally:
        writing._can_write.cache_clear()
    assert (encoded.suffix, encoded.notes) == (".png", ("Saved as PNG, since AVIF cannot be written.",))


def test_heic_cannot_be_written_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    writing._can_write.cache_clear()
    try:
        assert not can_write("heic")
        assert encode(Frame(SCENE), source("HEIF")).notes == ("Saved as PNG, since HEIC cannot be written.",)
    finally:
        writing._can_write.cache_clear()


def test_every_format_of_the_settings_is_known() -> None:
    assert set(KINDS) | {"keep"} == set(get_args(OutputFormat))
    assert can_write("keep")
    assert can_write("png")


# Pixels, depth and transparency


@pytest.mark.parametrize("name", ["png", "tiff", "bmp", "webp", "jp2", "heic"])
@pytest.mark.parametrize("grey", [False, True])
def test_lossless_formats_keep_every_pixel(name: OutputFormat, grey: bool) -> None:
    if not can_write(name):
        pytest.skip(f"{name} cannot be written on this machine")
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (33, 47, 3), np.uint8)
    if grey:
        pixels[:] = pixels[..., :1]
    encoded = encode(Frame(pixels), format=name, lossless=True, grey=grey)
    (result,) = read(encoded.data).frames
    assert np.array_equal(result, pixels[..., 0] if result.ndim == 2 else pixels)
    assert encoded.notes == ()


def test_avif_says_that_it_cannot_keep_every_pixel_of_colour() -> None:
    if not can_write("avif"):
        pytest.skip("AVIF cannot be written on this machine")
    assert encode(Frame(SCENE), format="avif", lossless=True).notes == (
        "AVIF cannot keep every pixel here; it was written at its highest quality.",
    )


@pytest.mark.parametrize("alpha", [None, SOFT_ALPHA])
def test_avif_keeps_every_pixel_of_grey(alpha: npt.NDArray[np.uint8] | None) -> None:
    if not can_write("avif"):
        pytest.skip("AVIF cannot be written on this machine")
    grey = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 1), np.uint8).repeat(3, axis=-1)
    encoded = encode(Frame(grey, alpha), format="avif", lossless=True, grey=True)
    (result,) = read(encoded.data).frames
    assert np.array_equal(result[..., 0] if result.ndim == 3 else result, grey[..., 0])
    assert alpha is None or np.array_equal(result[..., 3], alpha)
    assert encoded.notes == ()


@pytest.mark.parametrize("name", ["jpg", "webp", "avif", "jp2", "heic"])
def test_quality_trades_size_for_likeness(name: OutputFormat) -> None:
    if not can_write(name):
        pytest.skip(f"{name} cannot be written on this machine")
    y, x = np.mgrid[0:64, 0:96]
    noise = np.random.default_rng(0).normal(0, 6, (64, 96, 3))
    pixels = np.clip(np.stack((x * 2, y * 3, x + y), axis=-1) + noise, 0, 255).astype(np.uint8)
    coarse, fine = (encode(Frame(pixels), format=name, quality=quality) for quality in (20, 95))
    errors = [np.abs(read(made.data).frames[0].astype(int) - pixels).mean() for made in (coarse, fine)]
    assert len(coarse.data) < len(fine.data)
    assert errors[1] < errors[0]


@pytest.mark.parametrize("name", ["jpg", "avif", "heic"])
def test_colour_is_kept_in_full_unless_told_otherwise(name: OutputFormat) -> None:
    if not can_write(name):
        pytest.skip(f"{name} cannot be written on this machine")
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (255, 0, 0), (0, 0, 255)
    errors = [
        np.abs(read(encode(Frame(stripes), format=name, **chroma).data).frames[0].astype(int) - stripes).mean()
        for chroma in ({}, {"chroma": "4:2:0"})
    ]
    assert errors[0] < 10
    assert errors[1] > 40


def test_sixteen_bits_stay_where_the_format_can_and_are_noted_where_it_cannot(format: OutputFormat) -> None:
    target = KINDS[format]
    encoded = encode(Frame(DEEP, depth=16), source("PNG"), format=format, lossless=True)
    assert ("deep" in KEEPS[target]) != lost(encoded, target, "deep")
    if target == "PNG":
        assert np.array_equal(png_samples(encoded.data), DEEP)
    elif target == "TIFF":
        tifffile = pytest.importorskip("tifffile")
        assert np.array_equal(tifffile.imread(io.BytesIO(encoded.data)), DEEP)
    elif target not in ("JPEG", "AVIF"):
        result = read(encoded.data).frames[0][..., :3]
        assert np.array_equal(result, np.rint(DEEP / 257))


@pytest.mark.parametrize("name", ["png", "tiff"])
@pytest.mark.parametrize("grey", [False, True])
def test_sixteen_bits_have_transparency_of_sixteen_bits(name: OutputFormat, grey: bool) -> None:
    alpha = SOFT_ALPHA.astype(np.uint16) * 257 + 1
    alpha[alpha < 20_000] = 123
    level = DEEP[..., :1].repeat(3, axis=-1)
    encoded = encode(Frame(level if grey else DEEP, alpha, depth=16), format=name, grey=grey)
    if name == "png":
        result = png_samples(encoded.data)
        assert result.shape[-1] == (2 if grey else 4)
    else:
        tifffile = pytest.importorskip("tifffile")
        result = tifffile.imread(io.BytesIO(encoded.data))
    assert encoded.notes == ()
    assert np.array_equal(result[..., -1], alpha)
    assert np.array_equal(result[..., 0], DEEP[..., 0])


@pytest.mark.parametrize("name", ["png", "tiff", "jp2"])
def test_grey_of_sixteen_bits(name: OutputFormat) -> None:
    if not can_write(name):
        pytest.skip(f"{name} cannot be written on this machine")
    encoded = encode(Frame(DEEP[..., :1].repeat(3, axis=-1), depth=16), format=name, grey=True, lossless=True)
    (result,) = read(encoded.data).frames
    assert encoded.notes == ()
    assert np.array_equal(result, DEEP[..., 0])


def test_finer_pixels_of_an_eight_bit_source_are_rounded_at_the_end(format: OutputFormat) -> None:
    alpha = SOFT_ALPHA.astype(np.uint16) * 257
    alpha[alpha > 0] = 65535
    encoded = encode(Frame(DEEP, alpha), format=format, lossless=True)
    assert not any("bits" in note for note in encoded.notes)
    data = encoded.data
    assert data[24] == 8 if format == "png" else True
    result = read(data).frames[0]
    if format not in ("jpg", "avif"):
        assert np.array_equal(result[:, 1:, :3], np.rint(DEEP / 257)[:, 1:])


def test_rounding_is_exact_for_every_number() -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(writing._rounded(every), np.rint(every / 257))


def test_soft_transparency_is_kept_or_noted(format: OutputFormat) -> None:
    target = KINDS[format]
    encoded = encode(Frame(SCENE, SOFT_ALPHA), source("PNG"), format=format, lossless=True)
    if "alpha" not in KEEPS[target]:
        assert lost(encoded, target, "alpha")
        seen = read(encoded.data).frames[0].astype(int)
        on_paper = SCENE * (SOFT_ALPHA[..., None] / 255) + 255 * (1 - SOFT_ALPHA[..., None] / 255)
        assert np.abs(seen - on_paper).max() <= (10 if format == "jpg" else 0.51)
        return
    assert ("soft" in KEEPS[target]) != lost(encoded, target, "soft")
    alpha = read(encoded.data).frames[0][..., 3]
    expected = SOFT_ALPHA if "soft" in KEEPS[target] else np.where(SOFT_ALPHA < 128, 0, 255)
    assert np.array_equal(alpha, expected)


def test_transparent_parts_of_deep_pixels_become_white() -> None:
    alpha = np.full((HEIGHT, WIDTH), 65535, np.uint16)
    alpha[:, :8], alpha[:, 8:12] = 0, 32768
    (result,) = read(encode(Frame(DEEP, alpha, depth=16), format="bmp").data).frames
    assert (result[:, :8] == 255).all()
    assert np.abs(result[:, 8:12] - (DEEP[:, 8:12] / 257 + 255) / 2).max() <= 1
    assert np.array_equal(result[:, 12:], np.rint(DEEP[:, 12:] / 257))


def test_a_transparent_bmp_that_is_to_be_kept_becomes_a_png() -> None:
    encoded = encode(Frame(SCENE, SOFT_ALPHA), source("BMP"))
    assert encoded.suffix == ".png"
    assert encoded.notes == ("Saved as PNG, since BMP cannot be transparent.",)
    assert np.array_equal(read(encoded.data).frames[0][..., 3], SOFT_ALPHA)


@pytest.mark.parametrize("alpha", [None, SOFT_ALPHA])
def test_grey_results_have_one_channel_where_the_format_can(
    format: OutputFormat, alpha: npt.NDArray[np.uint8] | None
) -> None:
    grey = SCENE[..., :1].repeat(3, axis=-1)
    encoded = encode(Frame(grey, alpha), format=format, grey=True, lossless=True)
    result = read(encoded.data)
    # pillow-heif and the WebP of Pillow have no grey; a GIF of greys is one to Pillow.
    opaque = {"webp": "RGB"}
    transparent = {"png": "LA", "tiff": "LA", "jp2": "LA", "jpg": "L", "bmp": "L", "gif": "P"}
    assert result.mode == (opaque.get(format, "L") if alpha is None else transparent.get(format, "RGBA"))
    if alpha is None and format != "jpg":
        first = result.frames[0]
        assert np.array_equal(first if first.ndim == 2 else first[..., 0], grey[..., 0])


def test_colours_become_the_grey_that_they_look_like() -> None:
    (result,) = read(encode(Frame(SCENE), format="png", grey=True).data).frames
    assert np.abs(result.astype(int) - SCENE @ [0.299, 0.587, 0.114]).max() <= 0.51


# Colour profiles


@pytest.mark.parametrize("name", ["png", "tiff"])
def test_sixteen_bits_are_in_the_colours_of_their_profile(name: OutputFormat) -> None:
    encoded = encode(Frame(DEEP, None, wide_profile(), depth=16), format=name)
    shallow = encode(Frame(SCENE, None, wide_profile()), format=name)
    fine, coarse = (read(made.data) for made in (encoded, shallow))
    assert encoded.notes == ()
    assert fine.icc_profile == coarse.icc_profile == wide_profile()
    assert np.abs(fine.frames[0].astype(int) - coarse.frames[0]).max() <= 1
    assert np.abs(coarse.frames[0].astype(int) - SCENE).max() > 10


def test_a_profile_that_means_srgb_leaves_every_pixel_and_is_no_loss_where_there_is_no_room(
    format: OutputFormat,
) -> None:
    encoded = encode(Frame(SCENE, None, srgb_profile()), format=format, lossless=True)
    assert not any("profile" in note for note in encoded.notes)
    if format in ("png", "tiff", "webp", "heic"):
        result = read(encoded.data)
        assert result.icc_profile == srgb_profile()
        assert np.array_equal(result.frames[0], SCENE)


def test_a_profile_that_cannot_be_written_to_becomes_srgb() -> None:
    encoded = encode(Frame(SCENE, None, b"rubbish"), format="png")
    assert encoded.notes == ("Its colour profile cannot be written to; the result has the profile sRGB.",)
    assert read(encoded.data).icc_profile == srgb_profile()
    assert np.array_equal(read(encoded.data).frames[0], SCENE)


def test_grey_results_leave_a_profile_for_colours_out() -> None:
    for profile, notes in ((wide_profile(), 1), (srgb_profile(), 0)):
        encoded = encode(Frame(SCENE[..., :1].repeat(3, axis=-1), None, profile), format="png", grey=True)
        assert len(encoded.notes) == notes
        assert read(encoded.data).icc_profile is None
        assert np.array_equal(read(encoded.data).frames[0], SCENE[..., 0])


# Frames and pages

TIMES = (100.0, 40.0, 250.0)


def animation() -> list[Frame]:
    """Three frames, of which two are the same."""
    return [
        Frame(pixels, HARD_ALPHA, milliseconds=time)
        for pixels, time in zip((SCENE, SCENE, 255 - SCENE), TIMES, strict=True)
    ]


@pytest.mark.parametrize("loops", [0, 1, 4])
def test_animations_keep_frames_timing_and_loops_or_say_so(format: OutputFormat, loops: int) -> None:
    target = KINDS[format]
    kept = KEEPS[target]
    of = source("GIF", frame_count=3, is_animated=True, loops=loops)
    encoded = encode_frames(animation(), of, OutputSettings(format=format, lossless=True))
    result = read(encoded.data)
    assert (len(result.frames) == 3) == ("frames" in kept) != lost(encoded, target, "frames")
    if "frames" not in kept:
        assert len(result.frames) == 1
        return
    for frame, made in zip(animation(), result.frames, strict=True):
        assert np.array_equal(made[..., 3], HARD_ALPHA)
        assert np.abs(made[:, 4:, :3].astype(int) - frame.pixels[:, 4:]).max() <= (5 if format == "avif" else 0)
    assert ("timing" in kept) != lost(encoded, target, "timing")
    if "timing" in kept:
        assert result.times == list(TIMES)
        if loops:
            assert ("loops" in kept) != lost(encoded, target, "loops")
        if "loops" in kept:
            # A GIF that is shown once says nothing about it.
            assert result.plays == (None if format == "gif" and loops == 1 else loops)


def test_pages_stay_pages_or_say_so(format: OutputFormat) -> None:
    target = KINDS[format]
    pages = [Frame(SCENE, None, wide_profile(), (300.0, 300.0)), Frame(SCENE[:5], SOFT_ALPHA[:5]), Frame(255 - SCENE)]
    of = source("TIFF", frame_count=3)
    encoded = encode_frames(pages, of, OutputSettings(format=format, lossless=True))
    result = read(encoded.data)
    assert (len(result.frames) == 3) == ("pages" in KEEPS[target]) != lost(encoded, target, "pages")
    if "pages" in KEEPS[target]:
        assert np.abs(as_seen(result.frames[0], wide_profile()) - SCENE).max() <= 2
        assert np.array_equal(result.frames[1], np.dstack((SCENE[:5], SOFT_ALPHA[:5])))
        assert np.array_equal(result.frames[2], 255 - SCENE)


def test_kept_pages_have_their_own_profile_and_resolution() -> None:
    pages = [Frame(SCENE, None, wide_profile(), (300.0, 200.0)), Frame(SCENE, None, None, (72.0, 72.0)), Frame(SCENE)]
    encoded = encode_frames(pages, source("TIFF", frame_count=3), OutputSettings())
    assert encoded.notes == ()
    with Image.open(io.BytesIO(encoded.data)) as image:
        for page in pages:
            image.seek(pages.index(page) if page.dpi else 2)
            # Pillow goes on saying the profile of the first page.
            assert image.tag_v2.get(34675) == page.icc_profile
            assert (image.info.get("dpi") if image.tag_v2[296] == 2 else None) == page.dpi


def test_deep_animations_stay_deep_as_png() -> None:
    frames = [Frame(DEEP, depth=16, milliseconds=50), Frame(DEEP[::-1], depth=16, milliseconds=50)]
    of = source("PNG", frame_count=2, is_animated=True)
    encoded = encode_frames(frames, of, OutputSettings())
    assert encoded.notes == ()
    assert encoded.data[24] == 16
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert image.n_frames == 2
        image.seek(1)
        assert np.array_equal(np.asarray(image)[..., :3], DEEP[::-1] >> 8)


def test_no_more_frames_are_taken_than_the_format_holds() -> None:
    taken = []

    def frames() -> Iterator[Frame]:
        for number in range(12):
            taken.append(number)
            yield Frame(SCENE, milliseconds=100)

    of = source("GIF", frame_count=12, is_animated=True)
    encoded = encode_frames(frames(), of, OutputSettings(format="jpg"))
    assert encoded.notes == ("Only the first of 12 frames fits a JPEG.",)
    assert taken == [0]


@pytest.mark.parametrize(
    ("name", "time", "stored", "step"),
    [("gif", 33.3, 30, 10), ("gif", 2.0, 10, 10), ("webp", 33.4, 33, 1), ("avif", 33.4, 33, 1)],
)
def test_timing_is_rounded_to_what_the_format_has_and_noted(
    name: OutputFormat, time: float, stored: int, step: int
) -> None:
    if not can_write(name):
        pytest.skip(f"{name} cannot be written on this machine")
    frames = [dataclasses.replace(frame, milliseconds=time) for frame in animation()]
    of = source("PNG", frame_count=3, is_animated=True)
    encoded = encode_frames(frames, of, OutputSettings(format=name))
    shown = {"gif": "GIF", "webp": "WebP", "avif": "AVIF"}[name]
    assert encoded.notes.count(f"Its timing was rounded to steps of {step} ms: {shown}.") == 1
    assert read(encoded.data).times == [stored] * 3


def test_odd_times_are_exact_in_a_png() -> None:
    frames = [dataclasses.replace(frame, milliseconds=1000 / 60) for frame in animation()]
    encoded = encode_frames(frames, source("PNG", frame_count=3, is_animated=True), OutputSettings())
    assert encoded.notes == ()
    assert read(encoded.data).times == pytest.approx([1000 / 60] * 3, abs=1e-9)


@pytest.mark.parametrize("name", ["gif", "webp", "png", "avif", "tiff"])
def test_a_later_frame_may_be_transparent(name: OutputFormat) -> None:
    if not can_write(name):
        pytest.skip(f"{name} cannot be written on this machine")
    frames = [Frame(SCENE, milliseconds=10), Frame(SCENE, HARD_ALPHA, milliseconds=20)]
    of = source("PNG", frame_count=2, is_animated=True)
    result = read(encode_frames(frames, of, OutputSettings(format=name, lossless=True)).data)
    assert result.frames[0].shape[-1] == 3 or (result.frames[0][..., 3] == 255).all()
    assert np.array_equal(result.frames[1][..., 3], HARD_ALPHA)


@pytest.mark.parametrize("name", ["gif", "webp", "png", "avif"])
def test_frames_of_two_sizes_in_one_animation_are_a_sentence(name: OutputFormat) -> None:
    if not can_write(name):
        pytest.skip(f"{name} cannot be written on this machine")
    frames = [Frame(SCENE, milliseconds=10), Frame(SCENE[:4], milliseconds=10)]
    with pytest.raises(PictureError, match=r"a\.gif are not all of one size"):
        encode_frames(frames, source("GIF", frame_count=2, is_animated=True), OutputSettings(format=name))


@pytest.mark.parametrize("pixels", [np.full((300, 300, 3), 100), np.full((7, 5, 3), 100), None])
def test_pictures_with_little_in_them_keep_their_brightness_in_jpeg_2000(pixels: npt.NDArray[np.int64] | None) -> None:
    if not can_write("jp2"):
        pytest.skip("JPEG 2000 cannot be written on this machine")
    if pixels is None:
        pixels = np.full((300, 300, 3), 250)
        pixels[::40] = 245
    encoded = encode(Frame(pixels.astype(np.uint8)), format="jp2")
    assert np.abs(read(encoded.data).frames[0].astype(int) - pixels).max() <= 3


# GIF


def test_more_colours_than_a_gif_has_are_reduced_and_noted() -> None:
    y, x = np.mgrid[0:60, 0:80]
    pixels = np.stack((x * 3, y * 4, 255 - x - y), axis=-1).astype(np.uint8)
    alpha = np.where(x < 20, 0, 255).astype(np.uint8)
    encoded = encode(Frame(pixels, alpha), source("GIF"))
    assert encoded.notes == ("Its colours were reduced to 256: GIF.",)
    (result,) = read(encoded.data).frames
    assert np.array_equal(result[..., 3], alpha)
    # Dithered: a few pixels together have the right colour.
    blocks = [array[:, 20:, :3].reshape(15, 4, 15, 4, 3).mean(axis=(1, 3)) for array in (result, pixels)]
    assert np.abs(blocks[0] - blocks[1]).max() < 12


def test_a_palette_of_a_sample_is_as_good_as_one_of_all_pixels() -> None:
    y, x = np.mgrid[0:120, 0:160]
    waves = [127 + 120 * np.sin(x / a + y / b) for a, b in ((31, 17), (-23, 41), (13, -37))]
    # Stripes of two pixels: a sample of every other one would miss half of the colours.
    pixels = np.where((x % 2 == 0)[..., None], np.stack(waves, axis=-1), 255 - waves[0][..., None]).astype(np.uint8)
    encoded = encode(Frame(pixels), format="gif")
    errors = np.abs(read(encoded.data).frames[0][..., :3].astype(int) - pixels)
    image = Image.fromarray(pixels)
    whole = image.quantize(palette=image.quantize(256, Image.Quantize.MEDIANCUT), dither=Image.Dither.FLOYDSTEINBERG)
    assert errors.mean() <= 1.1 * np.abs(np.asarray(whole.convert("RGB")).astype(int) - pixels).mean()


def test_every_level_of_grey_fits_a_gif() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=-1)
    encoded = encode(Frame(grey), source("GIF"), grey=True)
    assert encoded.notes == ()
    assert np.array_equal(read(encoded.data).frames[0], grey[..., 0])


# EXIF, XMP and resolution


def test_damaged_exif_data_never_costs_the_picture(format: OutputFormat) -> None:
    cut = camera_exif()[:40]
    inner = camera_exif().replace(b"Acme", b"\xff\xff\xff\xff")
    for exif in (cut, inner, HEADING + b"rubbish", HEADING + b"II*\0\x08\0\0\0" + b"\xff" * 60):
        encoded = encode(Frame(SCENE), source(exif=exif), format=format)
        assert read(encoded.data).frames[0].shape[:2] == (HEIGHT, WIDTH)
        if not read(encoded.data).exif and "exif" in KEEPS[KINDS[format]]:
            assert any("EXIF" in note for note in encoded.notes)


def test_exif_data_that_the_encoder_refuses_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = writing._saved

    def refusing(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
        if "exif" in options:
            raise ValueError("no")
        return saved(image, kind, options)

    monkeypatch.setattr(writing, "_saved", refusing)
    encoded = encode(Frame(SCENE), source(exif=camera_exif()), format="jpg")
    assert encoded.notes == ("Its EXIF data could not be kept.",)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"exif": camera_exif() + bytes(70_000)}, "Its EXIF data is too long for a JPEG and was left out."),
        ({"xmp": XMP + b" " * 70_000}, "Its XMP is too long for a JPEG and was left out."),
    ],
)
def test_metadata_too_long_for_a_jpeg_is_left_out(values: dict[str, bytes], note: str) -> None:
    encoded = encode(Frame(SCENE), source(**values), format="jpg")
    assert encoded.notes == (note,)
    assert encode(Frame(SCENE), source(**values), format="png").notes == ()


def test_xmp_of_two_bytes_a_letter_is_upright_too() -> None:
    encoded = encode(Frame(SCENE), source(xmp=XMP.decode().encode("utf-16")), format="png")
    assert b'tiff:Orientation="1"' in read(encoded.data).xmp
    assert b"A horse" in read(encoded.data).xmp


@pytest.mark.parametrize(
    "text", [b"<tiff:Orientation>8</tiff:Orientation>", b"tiff:Orientation='3'", b'tiff:Orientation = "5"']
)
def test_an_orientation_within_xmp_is_reset_in_place(text: bytes) -> None:
    xmp = b"<x:xmpmeta " + text + b" />"
    result = read(encode(Frame(SCENE), source(xmp=xmp), format="jpg").data).xmp
    assert len(result) == len(xmp)
    assert result.translate(None, b"123456789") == xmp.translate(None, b"123456789")
    assert b"1" in result


def test_xmp_that_is_no_text_is_left_out_of_a_png_only() -> None:
    xmp = b"<x:xmpmeta \xff\xfe\xd8\xd8\xd8\xd8/>"
    encoded = encode(Frame(SCENE), source(xmp=xmp), format="png")
    assert encoded.notes == ("Its XMP is no text and was left out.",)
    assert read(encode(Frame(SCENE), source(xmp=xmp), format="jpg").data).xmp == xmp


@pytest.mark.parametrize("dpi", [(float("nan"), 300.0), (float("inf"), 1.0), (-72.0, 72.0), (0.0, 0.0), (1e30, 1e30)])
def test_nonsense_for_a_resolution_costs_nothing(format: OutputFormat, dpi: tuple[float, float]) -> None:
    encoded = encode(Frame(SCENE, None, None, dpi), format=format)
    assert encoded.notes == encode(Frame(SCENE), format=format).notes
    assert format == "bmp" or read(encoded.data).dpi is None


# Names, limits and failures


@pytest.mark.parametrize(
    ("name", "kind", "format", "suffix"),
    [
        ("IMG.JPG", "JPEG", "keep", ".JPG"),
        ("a.jpeg", "JPEG", "keep", ".jpeg"),
        ("a.jfif", "PNG", "jpg", ".jfif"),
        ("a.mpo", "MPO", "keep", ".jpg"),
        ("a.TIFF", "TIFF", "tiff", ".TIFF"),
        ("a.png", "JPEG", "jpg", ".jpg"),
        ("a.j2k", "JPEG2000", "keep", ".jp2"),
        ("no ending", "PNG", "keep", ".png"),
        ("a.2024", "PNG", "keep", ".png"),
    ],
)
def test_the_ending_is_the_sources_own_if_it_fits(name: str, kind: str, format: OutputFormat, suffix: str) -> None:
    encoded = encode(Frame(SCENE), source(kind, name), format=format)
    assert (encoded.suffix, encoded.notes) == (suffix, ())


def test_an_ending_that_lies_is_noted() -> None:
    encoded = encode(Frame(SCENE), source("JPEG", "a.png"))
    assert encoded.suffix == ".jpg"
    assert encoded.notes == ("The file is a JPEG in spite of its name, so the result ends in .jpg.",)


@pytest.mark.parametrize(("name", "side"), [("webp", 16_384), ("jpg", 65_501), ("gif", 65_536), ("bmp", 65_536)])
def test_what_is_too_large_for_a_format_becomes_a_png(name: OutputFormat, side: int) -> None:
    encoded = encode(Frame(np.zeros((1, side, 3), np.uint8)), format=name)
    assert encoded.suffix == ".png"
    assert f"{side - 1} pixels a side" in encoded.notes[0]
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert image.size == (side, 1)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 1), (7, 5)])
def test_tiny_pictures_can_be_written(format: OutputFormat, size: tuple[int, int]) -> None:
    for depth, alpha in ((np.uint8, None), (np.uint16, None), (np.uint8, np.full(size, 255, np.uint8))):
        pixels = np.full((*size, 3), 100, depth)
        pixels[:] = 100 if depth == np.uint8 else 25_700
        encoded = encode(Frame(pixels, alpha, depth=8 * pixels.itemsize), format=format)
        assert np.abs(read(encoded.data).frames[0][..., :3].astype(int) - 100).max() <= 2


def test_a_file_without_frames_is_a_sentence() -> None:
    with pytest.raises(PictureError, match=r"a\.png has no picture"):
        encode_frames([], source(), OutputSettings())


def test_a_failing_encoder_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError("encoder error -2")

    monkeypatch.setattr(writing, "_saved", broken)
    with pytest.raises(PictureError, match=r"a\.png cannot be written as JPEG \(encoder error -2\)"):
        encode(Frame(SCENE), format="jpg")


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemoryError("Too large."), KeyError("stopped")])
def test_what_taking_a_frame_raises_is_passed_on(error: Exception) -> None:
    def frames() -> Iterator[Frame]:
        yield Frame(SCENE)
        raise error

    with pytest.raises(type(error)) as failure:
        encode_frames(frames(), source("TIFF", frame_count=2), OutputSettings())
    assert failure.value is error


def test_nothing_is_printed(format: OutputFormat, capfd: pytest.CaptureFixture[str]) -> None:
    of = source("GIF", frame_count=3, is_animated=True, exif=camera_exif(), xmp=XMP)
    for output in (OutputSettings(format=format), OutputSettings(format=format, lossless=True, grey=True)):
        encode_frames(animation(), of, output)
        encode_frames([Frame(SCENE, None, b"rubbish")], source(exif=camera_exif()[:60]), output)
    assert capfd.readouterr() == ("", "")


def test_importing_needs_no_torch() -> None:
    code = "import sys, engine.data.writing; sys.exit(any(name in sys.modules for name in ('torch', 'tifffile')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("format", get_args(OutputFormat))
@pytest.mark.parametrize("name", ["a.JPG", "a.png", "a.tif", "a.webp"])
def test_the_ending_can_be_told_by_the_name_alone(format: OutputFormat, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    kind = {"a.JPG": "JPEG", "a.png": "PNG", "a.tif": "TIFF", "a.webp": "WEBP"}[name]
    frame = Frame(np.zeros((4, 5, 3), np.uint8))
    encoded = encode_frames([frame], SourceFile(path, kind, (5, 4)), OutputSettings(format=format))
    assert expected_suffix(format, path) == encoded.suffix
