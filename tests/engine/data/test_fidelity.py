"""A golden zoo: what goes through reading and writing comes out as it was, also when the format changes, or it is said.

The pictures are not translated in between, so that every difference is one of reading or of writing.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from engine.config import OutputFormat, OutputSettings
from engine.data.colour import out_of_srgb
from engine.data.images import opened_source
from engine.data.source_file import EncodedFile, Frame, SourceFile
from engine.data.writing import can_write, encode_frames

MakeProfile = Callable[[str], bytes]

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF dc:title="\xc3\xa9t\xc3\xa9"></rdf:RDF></x:xmpmeta>'
WHOLE: tuple[OutputFormat, ...] = ("png", "tiff", "webp")
WITH_METADATA: tuple[OutputFormat, ...] = ("jpg", "png", "tiff", "webp", "avif")

y, x = np.mgrid[0:24, 0:36]
SCENE = np.stack((x * 7, y * 10, 255 - x * 3 - y * 5), axis=-1).astype(np.uint8)
DEEP = np.stack((x * 1801 + y, y * 2713 + x, 65535 - x * 709 - y * 977), axis=-1).astype(np.uint16)


def opened(path: Path) -> tuple[SourceFile, list[Frame]]:
    with opened_source(path) as (source, frames):
        return source, list(frames)


def through(
    path: Path, format: OutputFormat, *, lossless: bool = True
) -> tuple[SourceFile, list[Frame], EncodedFile, SourceFile, list[Frame]]:
    """What is read of a file, its result, and what is read of that."""
    if not can_write(format):
        pytest.skip(f"{format} cannot be written on this machine")
    source, frames = opened(path)
    encoded = encode_frames(frames, source, OutputSettings(format=format, lossless=lossless, quality=95))
    result = path.with_name(f"result{encoded.suffix}")
    result.write_bytes(encoded.data)
    return source, frames, encoded, *opened(result)


def png16(samples: npt.NDArray[np.uint16], *chunks: tuple[bytes, bytes]) -> bytes:
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def levels(frames: Iterable[Frame]) -> list[npt.NDArray[np.float64]]:
    """In 0..255 with fractions."""
    return [frame.pixels / (257 if frame.pixels.dtype == np.uint16 else 1) for frame in frames]


# Modes


@pytest.mark.parametrize("format", ["keep", *WHOLE])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_comes_out_as_it_went_in(tmp_path: Path, mode: str, format: OutputFormat) -> None:
    deep = {"I;16": DEEP[..., 0], "F": (DEEP[..., 0] / 65535).astype(np.float32)}
    image = Image.fromarray(deep[mode]) if mode in deep else Image.fromarray(SCENE).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(SCENE[..., 0]))
    path = tmp_path / ("a.png" if mode in ("LA", "P", "RGBA") else "a.tif")
    image.save(path)
    source, frames, encoded, result, found = through(path, format)
    assert result.size == source.size == (36, 24)
    assert len(found) == 1
    loses_depth = mode in deep and format == "webp"
    assert np.abs(levels(found)[0] - levels(frames)[0]).max() <= (0.51 if loses_depth else 0)
    assert any("16 to 8 bit" in note for note in encoded.notes) == loses_depth
    assert np.array_equal(found[0].alpha, frames[0].alpha) if frames[0].alpha is not None else found[0].alpha is None
    assert (found[0].alpha is not None) == (mode in ("LA", "RGBA"))


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.avif"])
@pytest.mark.parametrize("format", ["keep", "png", "jpg"])
def test_every_orientation_stays_upright(tmp_path: Path, orientation: int, name: str, format: OutputFormat) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Artist] = "Somebody"
    xmp = XMP.replace(b"dc:title", b'tiff:Orientation="%d" dc:title' % orientation)
    Image.fromarray(SCENE).save(tmp_path / name, exif=exif, xmp=xmp)
    source, frames, _, result, found = through(tmp_path / name, format)
    assert result.size == source.size == ((24, 36) if orientation >= 5 else (36, 24))
    # Lossy ones blur; turned the wrong way it would be ten times as far off.
    assert np.abs(levels(found)[0] - levels(frames)[0]).mean() < 4
    assert b"Somebody" in result.exif
    kept = Image.Exif()
    kept.load(result.exif)
    assert kept.get(ExifTags.Base.Orientation, 1) == 1
    assert result.xmp in (b"", XMP.replace(b"dc:title", b'tiff:Orientation="1" dc:title'))


# Metadata


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.avif"])
@pytest.mark.parametrize("format", ["keep", *WITH_METADATA])
def test_what_a_file_says_is_kept(tmp_path: Path, name: str, format: OutputFormat) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Somebody"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.MakerNote: b"secret"}
    exif[ExifTags.IFD.GPSInfo] = {1: "N"}
    options: dict[str, object] = {"dpi": (300, 300)}
    if name in ("a.webp", "a.avif"):
        exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 300
        exif[ExifTags.Base.ResolutionUnit] = 2
    if name == "a.png":
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"] = texts
    elif name == "a.tif":
        exif[700] = XMP
    else:
        options["xmp"] = XMP
    Image.fromarray(SCENE).save(tmp_path / name, exif=exif.tobytes(), **options)
    source, (frame,), encoded, result, (found,) = through(tmp_path / name, format)
    assert source.xmp == result.xmp == XMP
    kept = Image.Exif()
    kept.load(result.exif)
    assert kept[ExifTags.Base.Artist] == "Somebody"
    assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] == b"secret"
    assert kept.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
    for one in (frame, found):
        assert one.dpi == pytest.approx((300, 300), abs=0.05)
    assert [note for note in encoded.notes if "every pixel" not in note] == []


# Colour profiles


@pytest.mark.parametrize("wide", ["adobe", "p3", "prophoto"])
@pytest.mark.parametrize("format", WHOLE)
@pytest.mark.parametrize("depth", [8, 16])
def test_wide_gamut_comes_back_within_a_level(
    tmp_path: Path, make_profile: MakeProfile, wide: str, format: OutputFormat, depth: int
) -> None:
    profile = make_profile(wide)
    stored = out_of_srgb((DEEP // 2 + 3000), profile)
    if depth == 8:
        Image.fromarray((stored >> 8).astype(np.uint8)).save(tmp_path / "a.png", icc_profile=profile)
    else:
        chunk = (b"iCCP", b"p\0\0" + zlib.compress(profile))
        (tmp_path / "a.png").write_bytes(png16(stored, chunk))
    _, (frame,), encoded, _, (found,) = through(tmp_path / "a.png", format)
    assert found.icc_profile == frame.icc_profile == profile
    assert found.depth == (8 if format == "webp" else depth)
    if depth == 8:
        with Image.open(io.BytesIO(encoded.data)) as image:
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - (stored >> 8)).max() <= 1
    else:
        back = out_of_srgb(found.pixels, profile)
        assert np.abs(back.astype(int) - stored).max() <= (200 if format == "webp" else 16)


# Depth and transparency


@pytest.mark.parametrize("format", ["keep", "png", "tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_stay_sixteen(tmp_path: Path, format: OutputFormat, channels: int) -> None:
    samples = np.dstack((DEEP, 65535 - y * 2000))[..., :channels].astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png16(samples))
    _, (frame,), encoded, _, (found,) = through(tmp_path / "a.png", format)
    assert np.array_equal(frame.pixels, DEEP)
    assert np.array_equal(found.pixels, DEEP)
    assert found.depth == 16
    assert found.alpha is None if channels == 3 else np.array_equal(found.alpha, samples[..., 3])
    assert encoded.notes == ()


def test_sixteen_bits_that_do_not_fit_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png16(DEEP))
    _, _, encoded, _, (found,) = through(tmp_path / "a.png", "jpg", lossless=False)
    assert found.depth == 8
    assert any("16 to 8 bit" in note and "JPEG" in note for note in encoded.notes)


# Frames


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.avif"])
@pytest.mark.parametrize("format", ["keep", "png", "webp", "gif", "avif"])
def test_animations_keep_frames_and_timing(tmp_path: Path, name: str, format: OutputFormat) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "red", "lime", "blue")]
    frames[2].paste("white", (0, 0, 20, 30))
    times = [100, 250, 70, 1000]
    options = {"a.webp": {"lossless": True}, "a.avif": {"quality": 100}}.get(name, {})
    if name == "a.gif":  # Pillow would make one frame of two that are alike.
        frames[1].paste("yellow", (0, 0, 1, 1))
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=times, loop=0, **options)
    source, before, _, result, after = through(tmp_path / name, format)
    assert (result.frame_count, result.is_animated, result.loops) == (source.frame_count, True, 0)
    assert [frame.milliseconds for frame in after] == [frame.milliseconds for frame in before]
    for one, other in zip(levels(before), levels(after), strict=True):
        assert np.abs(one - other).mean() < 6


@pytest.mark.parametrize("format", ["keep", "tiff"])
def test_pages_keep_their_sizes_depths_and_order(tmp_path: Path, format: OutputFormat) -> None:
    pages = [Image.fromarray(SCENE), Image.fromarray(DEEP[..., 0]), Image.fromarray(SCENE[:9, :7, 0])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    _, before, encoded, result, after = through(tmp_path / "a.tif", format)
    assert result.frame_count == 3
    assert [frame.depth for frame in after] == [frame.depth for frame in before] == [8, 16, 8]
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
    assert encoded.notes == ()


@pytest.mark.parametrize("format", ["png", "jpg", "webp"])
def test_pages_that_do_not_fit_are_said(tmp_path: Path, format: OutputFormat) -> None:
    pages = [Image.fromarray(SCENE), Image.fromarray(SCENE[::-1].copy())]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    _, before, encoded, result, after = through(tmp_path / "a.tif", format)
    assert result.frame_count == 1
    assert any("first of 2 pages" in note for note in encoded.notes)
    assert np.abs(levels(before)[0] - levels(after)[0]).mean() < 6
