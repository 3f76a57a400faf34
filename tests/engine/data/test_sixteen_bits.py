"""Every sample of a file with 16 bits a colour arrives, however the file stores it."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from engine.data import decoding, sixteen_bits
from engine.data.images import opened_source, read_deep_pixels, read_pixels
from engine.data.sixteen_bits import png_samples, tiff_samples, tifffile_samples
from engine.data.source_file import Frame
from engine.errors import PictureError

Samples = npt.NDArray[np.uint16]

PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def samples_of(height: int, width: int, channels: int) -> Samples:
    """Smooth, with low bytes that differ from the high ones."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 907 + y * 3, y * 1301 + x, x * y * 17, 65535 - x * 401][:channels]
    return np.stack(planes, -1).astype(np.uint16)


def png(
    samples: Samples, *, interlaced: bool = False, extra: bytes = b"", filters: Sequence[int] = (0, 1, 2, 3, 4)
) -> bytes:
    """A PNG with rows filtered by each of the five filters in turn, in several chunks."""
    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, int(interlaced))
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in PASSES] if interlaced else [samples]
    packed = zlib.compress(b"".join(_filtered(part, filters) for part in parts if part.size))
    middle = len(packed) // 2
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            extra,
            chunk(b"IDAT", packed[:middle]),
            chunk(b"IDAT", packed[middle:]),
            chunk(b"IEND", b""),
        )
    )


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _filtered(part: Samples, filters: Sequence[int]) -> bytes:
    rows = part.astype(">u2").reshape(len(part), -1).view(np.uint8).astype(int)
    step = 2 * part.shape[-1]
    above = np.zeros_like(rows[0])
    data = b""
    for number, row in enumerate(rows):
        left, corner = (np.concatenate((np.zeros(step, int), line[:-step])) for line in (row, above))
        guess = left + above - corner
        paeth = np.select(
            [
                (abs(guess - left) <= abs(guess - above)) & (abs(guess - left) <= abs(guess - corner)),
                abs(guess - above) <= abs(guess - corner),
            ],
            [left, above],
            corner,
        )
        kind = filters[number % len(filters)]
        predicted = (0, left, above, (left + above) // 2, paeth)[kind]
        data += bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        above = row
    return data


def tiff(
    samples: Samples,
    *,
    order: str = "<",
    compression: int = 1,
    predictor: int = 1,
    planar: bool = False,
    tile: tuple[int, int] | None = None,
    rows: int = 5,
    extra: int | None = None,
    orientation: int = 1,
) -> bytes:
    """A TIFF in strips of `rows` rows, or in tiles of (height, width)."""
    height, width, channels = samples.shape
    high, wide = tile or (rows, width)
    planes = [samples[..., i : i + 1] for i in range(channels)] if planar else [samples]
    blocks = []
    for plane in planes:
        for top in range(0, height, high):
            for left in range(0, width, wide):
                block = plane[top : top + high, left : left + wide]
                if tile:
                    padding = ((0, high - block.shape[0]), (0, wide - block.shape[1]), (0, 0))
                    block = np.pad(block, padding, mode="edge")
                if predictor == 2 and compression == 8:  # Without compression the tag means nothing.
                    block = np.diff(block, axis=1, prepend=np.zeros_like(block[:, :1]))
                data = block.astype(f"{order}u2").tobytes()
                blocks.append(zlib.compress(data) if compression == 8 else data)
    body = b"".join(blocks)
    lengths = [len(block) for block in blocks]
    offsets = [8 + int(sum(lengths[:i])) for i in range(len(lengths))]
    tags: dict[int, list[int]] = {
        256: [width],
        257: [height],
        258: [16] * channels,
        259: [compression],
        262: [2],
        274: [orientation],
        277: [channels],
        284: [2 if planar else 1],
        317: [predictor],
    }
    tags |= (
        {322: [wide], 323: [high], 324: offsets, 325: lengths} if tile else {273: offsets, 278: [rows], 279: lengths}
    )
    if extra is not None:
        tags[338] = [extra]
    start = 8 + len(body)
    place = start + 2 + 12 * len(tags) + 4
    directory, lists = struct.pack(f"{order}H", len(tags)), b""
    for tag, values in sorted(tags.items()):
        # Numbers of 16 bits fill their field from the left.
        small = tag not in (273, 279, 324, 325)
        packed = struct.pack(f"{order}{len(values)}{'H' if small else 'I'}", *values)
        directory += struct.pack(f"{order}HHI", tag, 3 if small else 4, len(values))
        directory += packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(f"{order}I", place + len(lists))
        lists += packed if len(packed) > 4 else b""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}I", start) + body + directory + bytes(4) + lists


def read_tiff(data: bytes) -> Samples:
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        return tiff_samples(io.BytesIO(data), image.tag_v2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("shape", [(21, 34), (1, 1), (2, 5), (9, 1)])
def test_every_sample_of_a_png_arrives(channels: int, interlaced: bool, shape: tuple[int, int]) -> None:
    samples = samples_of(*shape, channels)
    assert np.array_equal(png_samples(png(samples, interlaced=interlaced)), samples)


@pytest.mark.parametrize("filter", range(5))
def test_every_filter_of_a_png_is_undone(filter: int) -> None:
    samples = np.random.default_rng(filter).integers(0, 65536, (17, 23, 3), dtype=np.uint16)
    assert np.array_equal(png_samples(png(samples, filters=[filter])), samples)


@pytest.mark.parametrize("filter", range(5))
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_large_png_is_read_in_bands_without_a_seam(
    filter: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.random.default_rng(filter).integers(0, 65536, (17, 23, channels), dtype=np.uint16)
    monkeypatch.setattr(sixteen_bits, "_BAND_BYTES", 5 * (1 + 2 * channels * 23))
    assert np.array_equal(png_samples(png(samples, filters=[filter])), samples)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("compression", "predictor"), [(1, 1), (8, 1), (8, 2), (1, 2)])
@pytest.mark.parametrize("tile", [None, (16, 32), (16, 16)])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_sample_of_a_tiff_arrives(
    order: str, planar: bool, compression: int, predictor: int, tile: tuple[int, int] | None, channels: int
) -> None:
    samples = samples_of(21, 34, channels)
    data = tiff(samples, order=order, planar=planar, compression=compression, tile=tile, predictor=predictor)
    assert np.array_equal(read_tiff(data), samples)


@pytest.mark.parametrize("name", ["tiff_lzw", "packbits", "lzma", "zstd"])
def test_every_lossless_compression_of_a_tiff_is_undone(name: str) -> None:
    samples = samples_of(21, 34, 3)
    buffer = io.BytesIO()
    try:
        Image.fromarray(samples.reshape(21, 102)).save(buffer, "TIFF", compression=name)
    except OSError as error:  # libtiff can be built without some.
        pytest.skip(str(error))
    with Image.open(buffer) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        tags = image.tag_v2
        tags[256], tags[258], tags[277] = 34, (16, 16, 16), 3
        assert np.array_equal(tiff_samples(buffer, tags), samples)


@pytest.mark.parametrize(
    ("tag", "value"), [(259, 7), (317, 3), (266, 2), (339, (3, 3, 3)), (258, (8, 8, 8)), (258, (16, 16, 8))]
)
def test_a_tiff_of_another_kind_is_refused(tag: int, value: object) -> None:
    data = tiff(samples_of(8, 8, 3), compression=8)
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        image.tag_v2[tag] = value
        with pytest.raises(ValueError, match=r"not known|16 bits"):
            tiff_samples(io.BytesIO(data), image.tag_v2)


def bigtiff(samples: Samples) -> bytes:
    height, width, channels = samples.shape
    body = samples.astype("<u2").tobytes()
    tags = {256: [width], 257: [height], 258: [16] * channels, 259: [1], 262: [2], 273: [16], 277: [channels]}
    tags |= {278: [height], 279: [len(body)]}
    directory = struct.pack("<Q", len(tags))
    for tag, values in tags.items():
        kind, letter = (3, "H") if tag != 279 else (16, "Q")
        packed = struct.pack(f"<{len(values)}{letter}", *values).ljust(8, b"\0")
        directory += struct.pack("<HHQ", tag, kind, len(values)) + packed
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16 + len(body)) + body + directory + bytes(8)


@pytest.mark.parametrize("rows_turned", [False, True])
def test_what_our_own_reader_cannot_tifffile_may(
    tmp_path: Path, rows_turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tifffile")
    samples = samples_of(21, 34, 3)
    path = tmp_path / "a.tif"
    path.write_bytes(bigtiff(samples) if not rows_turned else tiff(samples, compression=8, predictor=2, planar=True))
    if rows_turned:

        def unknown(*arguments: object) -> None:
            raise ValueError

        monkeypatch.setattr(decoding, "tiff_samples", unknown)
    with path.open("rb") as file:
        assert np.array_equal(tifffile_samples(file, 0), samples)
    assert np.array_equal(only_frame(path).pixels, samples)


def test_without_tifffile_a_rare_kind_has_eight_bits_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*arguments: object) -> None:
        raise ValueError

    monkeypatch.setattr(decoding, "tiff_samples", unknown)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    samples = samples_of(21, 34, 3)
    (tmp_path / "a.tif").write_bytes(tiff(samples))
    frame = only_frame(tmp_path / "a.tif")
    assert (frame.pixels.dtype, frame.depth) == (np.uint8, 8)
    assert np.abs(frame.pixels - samples / 257).max() <= 1
    assert frame.notes == ("The source has 16 bits a channel, of which 8 could be read.",)


@pytest.mark.parametrize("compression", [1, 8])
def test_every_page_has_its_own_samples(tmp_path: Path, compression: int) -> None:
    samples = [samples_of(21, 34, 3), samples_of(8, 9, 4)[..., ::-1] ^ 1]
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "a.tif", new=True) as writer:
        for page in samples:
            writer.write(tiff(page, compression=compression, extra=2 if page.shape[-1] == 4 else None))
            writer.newFrame()
    with opened_source(tmp_path / "a.tif") as (_, frames):
        first, second = frames
    assert np.array_equal(first.pixels, samples[0])
    assert np.array_equal(second.pixels, samples[1][..., :3])
    assert np.array_equal(second.alpha, samples[1][..., 3])


# As pictures


def only_frame(path: Path) -> Frame:
    with opened_source(path) as (_, frames):
        (frame,) = frames
    return frame


def deep(path: Path, data: bytes) -> npt.NDArray[np.float32]:
    path.write_bytes(data)
    pixels = read_deep_pixels(path)
    assert pixels.dtype == np.float32 and pixels.shape[-1] == 3
    return pixels


def test_a_large_picture_is_read_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = samples_of(21, 34, 3)
    # Once as wide it is small, three times as wide it is not.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2 * 21 * 34)
    for name, data in (("a.png", png(samples)), ("a.tif", tiff(samples)), ("z.tif", tiff(samples, compression=8))):
        assert np.abs(deep(tmp_path / name, data) - samples / 257).max() < 1e-4


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize(("channels", "extra"), [(3, None), (4, 2)])
@pytest.mark.parametrize("compression", [1, 8])
def test_planes_are_the_same_picture_as_colours_side_by_side(
    tmp_path: Path, order: str, tile: tuple[int, int] | None, channels: int, extra: int | None, compression: int
) -> None:
    samples = samples_of(21, 34, channels)
    kinds = {"together.tif": False, "planes.tif": True}
    for name, planar in kinds.items():
        data = tiff(samples, order=order, tile=tile, extra=extra, compression=compression, planar=planar)
        (tmp_path / name).write_bytes(data)
    together, planes = (only_frame(tmp_path / name) for name in kinds)
    expected = samples[..., :3].copy()
    if channels == 4:
        expected[samples[..., 3] == 0] = 65535
        assert np.array_equal(planes.alpha, samples[..., 3])
        assert np.array_equal(together.alpha, samples[..., 3])
    else:
        assert planes.alpha is None and together.alpha is None
    assert np.array_equal(planes.pixels, expected)
    assert np.array_equal(together.pixels, expected)
    assert planes.notes == together.notes == ()
    assert np.array_equal(read_pixels(tmp_path / "planes.tif"), read_pixels(tmp_path / "together.tif"))


def test_grey_of_twelve_bits_is_black_to_white(tmp_path: Path) -> None:
    levels = np.arange(4096).reshape(64, 64)
    left, right = levels[:, 0::2], levels[:, 1::2]
    packed = np.stack([left >> 4, (left & 15) << 4 | right >> 8, right & 255], -1).astype(np.uint8).tobytes()
    tags = {256: 64, 257: 64, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 64, 279: len(packed)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = struct.pack("<I", 8 + len(packed))
    (tmp_path / "a.tif").write_bytes(b"II*\0" + start + packed + struct.pack("<H", len(tags)) + directory + bytes(4))
    expected = levels[..., None] * (255 / 4095)
    assert np.abs(read_pixels(tmp_path / "a.tif") - expected).max() <= 0.51
    assert np.abs(read_deep_pixels(tmp_path / "a.tif") - expected).max() < 0.01


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_colour_gradient_keeps_its_levels(tmp_path: Path, name: str) -> None:
    samples = np.stack([np.arange(4096).reshape(64, 64) * k for k in (16, 8, 4)], -1).astype(np.uint16)
    pixels = deep(tmp_path / name, png(samples) if name == "a.png" else tiff(samples))
    assert np.abs(pixels - samples / 257).max() < 1e-4
    assert [len(np.unique(pixels[..., channel])) for channel in range(3)] == [4096] * 3
    assert len(np.unique(read_pixels(tmp_path / name))) <= 256


def on_white(colours: npt.NDArray[np.floating], alpha: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return 255 + (colours - 255) * alpha


def test_transparency_lies_on_white_at_full_depth(tmp_path: Path) -> None:
    samples = samples_of(21, 34, 4)
    expected = on_white(samples[..., :3] / 257, samples[..., 3:] / 65535)
    assert np.abs(deep(tmp_path / "a.png", png(samples)) - expected).max() < 1e-4
    assert np.abs(deep(tmp_path / "a.tif", tiff(samples, extra=2)) - expected).max() < 1e-4
    assert np.abs(deep(tmp_path / "p.tif", tiff(samples, extra=2, planar=True)) - expected).max() < 1e-4
    # Multiplied by it already.
    premultiplied = np.concatenate((samples[..., :3] // 2, np.full_like(samples[..., :1], 32768)), -1)
    expected = premultiplied[..., :3] / 257 + 255 * (1 - 32768 / 65535)
    assert np.abs(deep(tmp_path / "m.tif", tiff(premultiplied, extra=1)) - expected).max() < 0.002
    # A fourth channel of which nobody says what it is.
    assert np.abs(deep(tmp_path / "x.tif", tiff(samples, extra=0)) - samples[..., :3] / 257).max() < 1e-4


def test_grey_with_transparency_lies_on_white_at_full_depth(tmp_path: Path) -> None:
    samples = samples_of(21, 34, 4)[..., [0, 3]]
    pixels = deep(tmp_path / "a.png", png(samples))
    expected = on_white(samples[..., :1] / 257, samples[..., 1:] / 65535)
    assert np.abs(pixels - expected).max() < 1e-4


def test_the_one_transparent_colour_or_level_is_white(tmp_path: Path) -> None:
    samples = samples_of(21, 34, 3)
    key = samples[3, 4].astype(">u2").tobytes()
    # The same upper bytes, but another colour.
    samples[5, 6] = samples[3, 4] ^ 1
    pixels = deep(tmp_path / "a.png", png(samples, extra=chunk(b"tRNS", key)))
    assert pixels[3, 4].tolist() == [255, 255, 255]
    assert np.abs(pixels[5, 6] - samples[5, 6] / 257).max() < 1e-4
    grey = samples[..., :1]
    pixels = deep(tmp_path / "g.png", png(grey, extra=chunk(b"tRNS", grey[3, 4].astype(">u2").tobytes())))
    clear = grey[..., 0] == grey[3, 4, 0]
    assert (pixels[clear] == 255).all()
    assert np.abs(pixels[~clear] - grey[~clear] / 257).max() < 1e-4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    samples = samples_of(21, 34, 3)
    turned = {
        1: samples,
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.swapaxes(0, 1),
        6: np.rot90(samples, -1),
        7: np.rot90(samples.swapaxes(0, 1), 2),
        8: np.rot90(samples),
    }[orientation]
    tag = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    grey = io.BytesIO()
    Image.fromarray(samples[..., 0]).save(grey, "TIFF", exif=exif)
    for name, data in (
        ("a.png", png(samples, extra=tag)),
        ("a.tif", tiff(samples, orientation=orientation)),
        ("g.png", png(samples[..., :1], extra=tag)),
        ("g.tif", grey.getvalue()),
    ):
        pixels = deep(tmp_path / name, data)
        expected = turned if name.startswith("a") else turned[..., :1]
        assert np.abs(pixels - expected / 257).max() < 1e-4, name


def profile(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def other_rgb() -> bytes:
    """SRGB with red and green exchanged."""
    data = bytearray(profile("sRGB"))
    count = struct.unpack_from(">I", data, 128)[0]
    tags = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = data[green : green + 4], data[red : red + 4]
    return bytes(data)


def grey_profile(curve: Sequence[float]) -> bytes:
    """A grey profile: what light, in 0..1, each level stands for."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    table = struct.pack(f">{len(curve)}H", *(round(65535 * light) for light in curve))
    tone = b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + table
    text = b"text\0\0\0\0grey\0\0\0\0"
    parts = [(b"wtpt", white), (b"kTRC", tone), (b"desc", text), (b"cprt", text)]
    table, body, place = struct.pack(">I", len(parts)), b"", 132 + 12 * len(parts)
    for name, content in parts:
        table += struct.pack(">4sII", name, place + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", place + len(body), b"lcms", 0x04000000, b"mntr", b"GRAY", b"XYZ ")
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    return (
        (header + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))).ljust(128, b"\0")
        + table
        + body
    )


def icc(data: bytes) -> bytes:
    return chunk(b"iCCP", b"p\0\0" + zlib.compress(data))


def test_a_profile_that_means_srgb_changes_nothing(tmp_path: Path) -> None:
    samples = samples_of(21, 34, 3)
    pixels = deep(tmp_path / "a.png", png(samples, extra=icc(profile("sRGB"))))
    assert np.abs(pixels - samples / 257).max() < 1e-4
    levels = np.linspace(0, 1, 1024)
    curve = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    for data in (profile("sRGB"), grey_profile(curve.tolist())):
        pixels = deep(tmp_path / "g.png", png(samples[..., :1], extra=icc(data)))
        assert np.abs(pixels - samples[..., :1] / 257).max() < 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_a_profile_of_curves_is_applied_to_every_level(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.png"
    samples = samples_of(21, 34, channels)
    path.write_bytes(png(samples, extra=icc(grey_profile([0, 0.5, 0.7, 1]) if channels == 1 else other_rgb())))
    pixels = read_deep_pixels(path)
    assert pixels.dtype == np.float32
    # The dark levels of this grey curve lie eleven of sRGB apart.
    assert np.abs(pixels - read_pixels(path)).max() <= (11 if channels == 1 else 1.5)
    assert np.abs(pixels - read_pixels(path)).mean() <= 1
    assert len(np.unique(pixels[..., 0])) > 400
    assert np.abs(pixels - samples / 257).max() > 20


def test_colours_that_only_eight_bits_can_be_converted_of_have_eight_bits(
    tmp_path: Path, make_profile: Callable[[str], bytes]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(samples_of(21, 34, 3), extra=icc(make_profile("tables"))))
    pixels = read_deep_pixels(path)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - read_pixels(path)).max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
def test_a_profile_that_does_not_fit_costs_no_bits(tmp_path: Path, channels: int) -> None:
    samples = samples_of(21, 34, channels)
    for data in (b"no profile", profile("LAB")):
        assert np.abs(deep(tmp_path / "a.png", png(samples, extra=icc(data))) - samples / 257).max() < 1e-4


def test_a_tiff_whose_samples_cannot_be_had_has_eight_bits(tmp_path: Path) -> None:
    cmyk = tiff(samples_of(21, 34, 4))
    # Photometric interpretation 5 in place of 2: inks.
    place = cmyk.index(struct.pack("<HHIH", 262, 3, 1, 2))
    data = bytearray(cmyk)
    data[place + 8] = 5
    (tmp_path / "a.tif").write_bytes(data)
    pixels = read_deep_pixels(tmp_path / "a.tif")
    assert pixels.dtype == np.uint8 and np.array_equal(pixels, read_pixels(tmp_path / "a.tif"))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_damage_is_the_same_sentence_as_ever(tmp_path: Path, name: str) -> None:
    samples = samples_of(60, 60, 3)
    data = png(samples) if name == "a.png" else tiff(samples, compression=8)
    for cut in (data[: len(data) // 2], data[:200] + bytes(400) + data[600:]):
        (tmp_path / name).write_bytes(cut)
        with pytest.raises(PictureError) as expected:
            read_pixels(tmp_path / name)
        with pytest.raises(PictureError) as found:
            read_deep_pixels(tmp_path / name)
        assert str(found.value) == str(expected.value)


def test_eight_bit_files_are_read_as_ever(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    for name in ("a.png", "a.tif", "a.jpg", "a.bmp", "a.webp"):
        Image.fromarray(pixels).save(tmp_path / name)
        found = read_deep_pixels(tmp_path / name)
        assert found.dtype == np.uint8 and np.array_equal(found, read_pixels(tmp_path / name))
    with pytest.raises(PictureError, match=r"gone\.png"):
        read_deep_pixels(tmp_path / "gone.png")
