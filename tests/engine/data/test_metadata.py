"""How deep a file is and what it says is found without decoding it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.images import opened_source
from engine.data.metadata import described, note_of_text, read_xmp, stored_bits


def bits(path: Path) -> int:
    with path.open("rb") as file, Image.open(path) as image:
        return stored_bits(image, file)


def test_the_depth_of_an_avif_stands_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.new("RGB", (16, 16), "red").save(path)
    data = bytearray(path.read_bytes())
    place = data.index(b"av1C") + 6
    for flags, expected in ((0x00, 8), (0x40, 10), (0x60, 12)):
        with Image.open(io.BytesIO(data)) as image:
            data[place] = data[place] & 0x9F | flags
            assert stored_bits(image, io.BytesIO(data)) == expected
            data[place] &= 0x9F


def test_the_depth_of_a_jpeg_2000_stands_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.jp2"
    Image.new("RGB", (16, 16), "red").save(path)
    assert bits(path) == 8
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\x4f\xff\x51") + 42
    data[place], data[place + 3], data[place + 6] = 15, 11, 15
    path.write_bytes(data)
    assert bits(path) == 16
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(path)
    assert bits(path) == 16


def test_the_depth_of_other_formats(tmp_path: Path) -> None:
    (tmp_path / "a.ppm").write_bytes(b"P6\n1 1\n1023\n" + bytes(6))
    assert bits(tmp_path / "a.ppm") == 10
    (tmp_path / "b.ppm").write_bytes(b"P6\n1 1\n255\n" + bytes(3))
    assert bits(tmp_path / "b.ppm") == 8
    (tmp_path / "a.sgi").write_bytes(
        struct.pack(">HBBHHHH", 474, 0, 2, 3, 2, 1, 3).ljust(512, b"\0") + bytes(2 * 2 * 3)
    )
    assert bits(tmp_path / "a.sgi") == 16
    for name in ("a.jpg", "a.png", "a.gif", "a.bmp", "a.webp", "a.tif"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
        assert bits(tmp_path / name) == 8


@pytest.mark.parametrize(("name", "content"), [("a.ppm", b"P6\n2 1\n65535\n" + b"\x80\x01" * 6)])
def test_what_only_eight_bits_can_be_read_of_is_said(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with opened_source(tmp_path / name) as (_, frames):
        (frame,) = frames
    assert frame.depth == 8
    assert frame.notes == ("The source has 16 bits a channel, of which 8 could be read.",)


def test_extended_xmp_of_a_jpeg_is_said(tmp_path: Path) -> None:
    xmp = b'<rdf:Description xmlns:xmpNote="n" xmpNote:HasExtendedXMP="AB12"/>'
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4, 4)).save(path, xmp=xmp)
    notes: list[str] = []
    with path.open("rb") as file, Image.open(path) as image:
        assert read_xmp(image, file, notes) == xmp
    assert notes == ["Part of its XMP data, which stands apart from the rest, was left out."]


def test_texts_of_a_png_that_somebody_wrote_are_said(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    path = tmp_path / "a.png"
    for keys, expected in (
        (("Software", "date:create", "Creation Time"), ""),
        (("Title",), "Its text was left out."),
        (("Title", "parameters", "Software"), "Its 2 entries of text were left out."),
    ):
        texts = PngInfo()
        for key in keys:
            texts.add_text(key, "x")
        Image.new("L", (2, 2)).save(path, pnginfo=texts)
        with path.open("rb") as file, Image.open(path) as image:
            assert note_of_text(described(image, file)) == expected


def test_captions_of_a_jpeg_are_said(tmp_path: Path) -> None:
    iptc = b"\x1c\x02\x78\x00\x03sea"
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    segment = b"Photoshop 3.0\0" + block
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "JPEG")
    data = buffer.getvalue()
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + data[2:])
    with opened_source(path) as (source, _):
        assert source.notes == ("Its IPTC captions were left out.",)
