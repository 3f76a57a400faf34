"""A golden zoo: what goes through reading and writing comes out as it was, also when the format changes, or it is said.

The pictures are not translated in between, so that every difference is one of reading or of writing.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from engine.config import OutputFormat, OutputSettings
from engine.data.colour import out_of_srgb
from engine.data.images import opened_source, scaled_frame
from engine.data.source_file import EncodedFile, Frame, SourceFile
from engine.data.writing import can_write, encode_frames
from engine.errors import PictureError

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


# What stands beside pixels, EXIF data and XMP


def tiff_with(tags: Mapping[int, tuple[int, object]], path: Path, **options: object) -> Path:
    """A TIFF of `SCENE` with tags of these types."""
    given = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, (kind, value) in tags.items():
        given.tagtype[tag] = kind
        given[tag] = value
    Image.fromarray(SCENE).save(path, tiffinfo=given, **options)
    return path


GEO = {
    33550: (12, (10.0, 10.0, 0.0)),
    33922: (12, (0.0, 0.0, 0.0, 5.5e5, 5.2e6, 0.0)),
    34735: (3, (1, 1, 0, 1, 1024, 0, 1, 1)),
    34736: (12, (6378137.0,)),
    34737: (2, "WGS 84|"),
    42112: (2, "<GDALMetadata/>"),
    42113: (2, "-9999"),
}


def test_the_place_on_the_map_is_kept_from_tiff_to_tiff(tmp_path: Path) -> None:
    path = tiff_with(GEO, tmp_path / "a.tif")
    source, _, encoded, _, _ = through(path, "keep")
    assert source.notes == encoded.notes == ()
    with Image.open(io.BytesIO(encoded.data)) as image, Image.open(path) as original:
        for tag in GEO:
            assert image.tag_v2[tag] == original.tag_v2[tag]  # type: ignore[attr-defined]


def test_the_place_on_the_map_that_is_no_longer_true_is_left_out_and_said(tmp_path: Path) -> None:
    path = tiff_with(GEO | {270: (2, "a field")}, tmp_path / "a.tif")
    source, frames, encoded, result, _ = through(path, "png")
    assert encoded.notes == ("Its place on the map was left out: PNG.",)
    assert b"a field" in result.exif
    scaled = [scaled_frame(frame, 18) for frame in frames]
    encoded = encode_frames(scaled, source, OutputSettings())
    assert encoded.notes == ("Its place on the map was left out, since the size changed.",)
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert not set(GEO) & set(image.tag_v2)  # type: ignore[attr-defined]
        assert image.tag_v2[270] == "a field"  # type: ignore[attr-defined]
    source, _ = opened(tiff_with(GEO | {274: (3, 6)}, tmp_path / "b.tif"))
    assert source.notes == ("Its place on the map was left out, since the picture was turned.",)
    assert source.exif == b""


def test_photoshop_data_is_said(tmp_path: Path) -> None:
    source, _ = opened(tiff_with({34377: (7, b"8BIM\x03\xed\0\0\0\0\0\0")}, tmp_path / "a.tif"))
    assert source.notes == ("Its Photoshop data, such as paths, was left out.",)


@pytest.mark.parametrize("format", ["jpg", "png", "gif"])
@pytest.mark.parametrize("name", ["a.jpg", "a.gif", "a.png"])
def test_a_comment_is_kept_where_there_is_room(tmp_path: Path, name: str, format: OutputFormat) -> None:
    comment = "été am Meer, " * 30
    texts = PngInfo()
    texts.add_itxt("Comment", comment)
    options = {"pnginfo": texts} if name == "a.png" else {"comment": comment.encode()}
    Image.new("RGB", (8, 8)).save(tmp_path / name, **options)
    source, _, encoded, result, _ = through(tmp_path / name, format)
    assert source.comment == result.comment == comment.encode()
    assert source.notes == encoded.notes == ()


def test_a_comment_without_room_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", comment=b"caf\xe9")
    assert through(tmp_path / "a.jpg", "webp")[2].notes == ("A WebP has no room for its comment.",)
    assert through(tmp_path / "a.jpg", "png")[3].comment == "café".encode()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif", comment=bytes(range(32, 127)) * 700)
    assert through(tmp_path / "a.gif", "jpg")[2].notes == ("Its comment is too long for a JPEG and was left out.",)


@pytest.mark.parametrize(
    ("chunks", "notes"),
    [
        ([(b"gAMA", struct.pack(">I", 45455))], ()),
        ([(b"gAMA", struct.pack(">I", 0))], ()),
        (
            [(b"gAMA", struct.pack(">I", 100_000))],
            ("Its gamma (1) was not applied: its colours are taken for sRGB.",),
        ),
        ([(b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")], ()),
        ([(b"cICP", bytes((1, 13, 0, 1)))], ()),
        (
            [(b"cICP", bytes((9, 16, 0, 1)))],
            ("Its colour space (cICP 9, 16, 0, 1) was not applied: its colours are taken for sRGB.",),
        ),
    ],
)
def test_colours_of_a_png_that_are_not_applied_are_said(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], notes: tuple[str, ...]
) -> None:
    (tmp_path / "a.png").write_bytes(png16(DEEP, *chunks))
    assert opened(tmp_path / "a.png")[0].notes == notes


@pytest.mark.parametrize("extra", [(0, 0), (2, 0)])
def test_further_channels_of_a_tiff_are_said(tmp_path: Path, extra: tuple[int, int]) -> None:
    tifffile = pytest.importorskip("tifffile")
    samples = np.dstack((SCENE, SCENE[..., :2]))
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=extra)
    _, (frame,) = opened(tmp_path / "a.tif")
    assert np.array_equal(frame.pixels[frame.pixels[..., 0] < 255], SCENE[frame.pixels[..., 0] < 255])
    assert frame.notes == (("1 of its 5 channels was" if any(extra) else "2 of its 5 channels were") + " left out.",)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "32-bit floating-point colours"),
        (np.zeros((4, 4, 3), np.uint32), "32-bit colours"),
        (np.zeros((4, 4, 5), np.uint16), "5 channels of 16 bits"),
    ],
)
def test_a_tiff_that_cannot_be_read_says_why(tmp_path: Path, samples: npt.NDArray[np.generic], words: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", planarconfig="contig")
    with pytest.raises(PictureError, match=f"a.tif is a TIFF with {words}, which cannot be read here"):
        opened(tmp_path / "a.tif")


def test_a_damaged_tiff_is_not_called_one_of_a_rare_kind(tmp_path: Path) -> None:
    Image.fromarray(SCENE).save(tmp_path / "a.tif")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[data.index(struct.pack("<HHI", 262, 3, 1)) + 8] = 77
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(PictureError, match="or it is damaged"):
        opened(tmp_path / "a.tif")


def test_a_profile_of_lab_is_not_called_damaged(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(np.full((4, 4, 3), (255, 128, 128), np.uint8), "RGB").save(tmp_path / "a.tif", icc_profile=profile)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    place = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    data[place] = 8  # CIELab: white
    (tmp_path / "a.tif").write_bytes(data)
    _, (frame,) = opened(tmp_path / "a.tif")
    assert frame.notes == ()


def test_the_lists_of_a_tiffs_exif_data_are_all_kept_and_moved_notes_are_said(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Acme"
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.MakerNote] = b"a note of the maker"
    inner[ExifTags.IFD.Interop] = {1: "R98"}
    Image.fromarray(SCENE).save(tmp_path / "a.jpg", exif=exif.tobytes())
    (tmp_path / "a.tif").write_bytes(through(tmp_path / "a.jpg", "tiff")[2].data)
    source, _, encoded, _, _ = through(tmp_path / "a.tif", "keep")
    assert source.notes == ("Its maker's notes were kept, but may not be understood any more.",)
    with Image.open(io.BytesIO(encoded.data)) as image:
        kept = image.getexif()
        assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] == b"a note of the maker"
        assert kept.get_ifd(ExifTags.IFD.Interop)[1] == "R98"


def test_jpeg_2000_keeps_what_an_earlier_result_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Acme"
    Image.fromarray(SCENE).save(tmp_path / "a.jpg", exif=exif, xmp=XMP)
    source, _, encoded, result, _ = through(tmp_path / "a.jpg", "jp2")
    assert (result.exif, result.xmp) == (source.exif, source.xmp)
    again = through(tmp_path / f"result{encoded.suffix}", "keep")[3]
    assert (again.exif, again.xmp) == (source.exif, source.xmp)


def test_a_bmp_without_a_resolution_gets_none(tmp_path: Path) -> None:
    Image.fromarray(SCENE).save(tmp_path / "a.png")
    assert through(tmp_path / "a.png", "bmp")[4][0].dpi is None


@pytest.mark.parametrize(("unit", "density"), [(2, (118, 59)), (2, (1, 2)), (1, (300, 72))])
def test_the_resolution_of_a_jpeg_stays_in_its_unit(tmp_path: Path, unit: int, density: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(SCENE).save(buffer, "JPEG")
    data = buffer.getvalue()
    (tmp_path / "a.jpg").write_bytes(data[:13] + struct.pack(">BHH", unit, *density) + data[18:])
    _, frames, _, _, results = through(tmp_path / "a.jpg", "keep")
    assert frames[0].dpi is not None
    assert results[0].dpi == pytest.approx(frames[0].dpi, rel=1e-6)


def test_an_opaque_animation_stays_opaque_in_an_avif(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    encoded = through(tmp_path / "a.webp", "avif")[2]
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert (image.mode, getattr(image, "n_frames", 1)) == ("RGB", 2)


def test_deep_samples_are_those_of_the_file_that_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png16(DEEP))
    with opened_source(path) as (_, frames):
        (tmp_path / "b.png").write_bytes(png16(DEEP[::-1].copy()))
        (tmp_path / "b.png").replace(path)
        (frame,) = frames
    assert np.array_equal(frame.pixels, DEEP)


def test_a_picture_too_large_for_any_setting_is_not_given_a_remedy_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    for tag in (256, 257):
        place = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
        data[place : place + 4] = struct.pack("<I", 2_400_000)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(PictureError, match="more than can be read here") as caught, opened_source(tmp_path / "a.tif"):
        pass
    assert "--max-megapixels" not in str(caught.value)
