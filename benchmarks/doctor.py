"""Does the doctor find what is wrong with pictures, and nothing else? Plants faults of every kind into a copy.

    python benchmarks/doctor.py FOLDER      FOLDER holds trainA and trainB; it is only read

Prints what is found in the folder as it is, with every pair that is called alike on a sheet to look at, and then which
of the planted faults were found and what else was said of the copy.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from engine.data.doctor import examine
from engine.events import Examined, Finding

Plant = Callable[[Path, Path, Path], list[Path]]
"""Given a picture and the two folders, plants a fault and says which files are now concerned."""


def examined(folder_A: Path, folder_B: Path) -> tuple[list[Finding], Examined]:
    """What is found, and the end of it."""
    findings: list[Finding] = []
    for event in examine(folder_A, folder_B, name_A="A", name_B="B"):
        if isinstance(event, Finding):
            findings.append(event)
        elif isinstance(event, Examined):
            return findings, event
    raise AssertionError("An examination ends with its end.")


def photograph(seed: int, size: tuple[int, int] = (96, 96)) -> Image.Image:
    """Something with coarse and fine structure that looks like nothing else."""
    random = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells in (2, 4, 8, 16, 32):
        noise = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(noise.resize(size, Image.Resampling.BICUBIC), float) / cells**0.5
    total -= total.min()
    return Image.fromarray((total * (255 / total.max())).astype(np.uint8))


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    """Save a picture; its path."""
    image.save(path, **options)
    return path


def cut(path: Path, share: float) -> Path:
    """Leave only the first share of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def bomb(path: Path) -> Path:
    """A PNG that says it has 3,600 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b""))
    return path


def other_gamut() -> bytes:
    """The profile sRGB with the primaries of red and green exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {
        bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i
        for i in range(struct.unpack(">I", profile[128:132])[0])
    }
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        bytes(profile[green + 4 : green + 12]),
        bytes(profile[red + 4 : red + 12]),
    )
    return bytes(profile)


def written(path: Path, data: bytes) -> Path:
    """Write a file; its path."""
    path.write_bytes(data)
    return path


def brightened(image: Image.Image) -> Image.Image:
    """A tenth brighter."""
    return image.point([min(255, round(1.1 * level + 4)) for level in range(256)] * 3)


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Without a share of its left and upper border."""
    width, height = image.size
    return image.crop((round(share * width), round(share * height), width, height))


def encoded(image: Image.Image, quality: int) -> Image.Image:
    """Saved as JPEG and read again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def plants(originals: list[Path], folder_A: Path, folder_B: Path) -> list[tuple[str, str, list[Path]]]:
    """Plant everything: what was planted, the kind of finding it calls for, and the files that this must name."""
    A, B = folder_A, folder_B
    photographs = iter(photograph(seed) for seed in range(1000))
    sources = iter(originals)
    planted: list[tuple[str, str, list[Path]]] = []

    def plant(what: str, kind: str, *files: Path) -> None:
        planted.append((what, kind, list(files)))

    def original() -> tuple[Path, Image.Image]:
        path = next(sources)
        with Image.open(path) as image:
            return path, image.convert("RGB")

    plant("JPEG cut off", "unreadable", cut(saved(next(photographs), A / "zz cut.jpg"), 0.6))
    plant("PNG cut off", "unreadable", cut(saved(next(photographs), A / "zz cut.png"), 0.6))
    plant("text named .png", "unreadable", written(A / "zz text.png", b"This is no picture."))
    plant("empty file", "unreadable", written(B / "zz empty.jpg", b""))
    plant("bomb", "unreadable", bomb(B / "zz bomb.png"))
    path, image = original()
    plant("copied file", "same", path, Path(shutil.copy(path, A / f"zz copy{path.suffix}")))
    path, image = original()
    plant("same pixels in BMP", "same", path, saved(image, A / "zz same.bmp"))
    path, image = original()
    plant("copied to the other side", "same_on_both", path, Path(shutil.copy(path, B / f"zz across{path.suffix}")))
    for name, change in {
        "saved as JPEG 85": lambda image: encoded(image, 85),
        "saved as JPEG 60": lambda image: encoded(image, 60),
        "brightened": brightened,
        "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
        "twice the size": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
        "cropped by 2%": lambda image: cropped(image, 0.02),
        "cropped by 4%": lambda image: cropped(image, 0.04),
        "cropped by 2%, brightened, JPEG 80": lambda image: encoded(brightened(cropped(image, 0.02)), 80),
    }.items():
        path, image = original()
        plant(name, "alike", path, saved(change(image), A / f"zz {name}.png"))
    path, image = original()
    plant("on the other side as JPEG", "alike_on_both", path, saved(image, B / "zz across as JPEG.jpg", quality=80))
    plant("grey", "grey_among_colour", saved(next(photographs).convert("L"), A / "zz grey.png"))
    plant("grey in three channels", "grey_among_colour",
          saved(next(photographs).convert("L").convert("RGB"), B / "zz grey.jpg"))  # fmt: skip
    deep = (np.asarray(next(photographs).convert("L"), np.uint16) * 257).astype(np.uint16)
    plant("16 bits", "sixteen_bits", saved(Image.fromarray(deep), A / "zz deep.png"))
    plant("16 bits, which are grey", "grey_among_colour", A / "zz deep.png")
    plant("CMYK", "cmyk", saved(next(photographs).convert("CMYK"), A / "zz cmyk.jpg"))
    plant("wide gamut", "wide_gamut", saved(next(photographs), B / "zz wide.jpg", icc_profile=other_gamut()))
    plant("8 x 8", "tiny", saved(next(photographs).resize((8, 8)), A / "zz tiny.png"))
    plant("10 to 1", "strips", saved(photograph(2000, (400, 40)), B / "zz strip.png"))
    plant("one colour", "flat", saved(Image.new("RGB", (80, 80), (90, 120, 30)), A / "zz flat.png"))
    plant("white JPEG", "flat", saved(Image.new("RGB", (90, 80), "white"), B / "zz white.jpg"))
    frames = [next(photographs) for _ in range(3)]
    plant("animation", "frames", saved(frames[0], A / "zz frames.gif", save_all=True, append_images=frames[1:]))
    frames = [next(photographs) for _ in range(3)]
    plant("pages", "frames", saved(frames[0], B / "zz pages.tif", save_all=True, append_images=frames[1:]))
    clear = next(photographs).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    plant("transparent", "transparent", saved(clear, A / "zz clear.png"))
    plant("a text", "other_files", written(A / "zz read me.txt", b"Hello"))
    return planted


def sheet_of(findings: list[Finding], to: Path) -> None:
    """Draw a row for each group that is called alike."""
    groups = [group for finding in findings if finding.kind in ("alike", "alike_on_both") for group in finding.groups]
    side = 96
    sheet = Image.new("RGB", (side * max(map(len, groups), default=1), side * max(1, len(groups))), "white")
    for row, group in enumerate(groups):
        for column, path in enumerate(group):
            with Image.open(path) as image:
                sheet.paste(image.convert("RGB").resize((side - 4, side - 4)), (side * column, side * row))
    sheet.save(to)


def tell(findings: list[Finding], end: Examined) -> None:
    """Print what was found."""
    for finding in findings:
        print(f"  {finding.severity:8} {finding.kind:18} {finding.sentence}")
    print(
        f"  {end.count_A:,} and {end.count_B:,} pictures, {end.good_A:,} and {end.good_B:,} good, {end.seconds:.1f} s"
    )


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheet", type=Path, help="where to draw the pairs that are called alike (PNG)")
    options = parser.parse_args()
    print("As it is:")
    before, end = examined(options.folder / "trainA", options.folder / "trainB")
    tell(before, end)
    if options.sheet is not None:
        sheet_of(before, options.sheet)
    concerned = {path.name for finding in before for path in finding.files}
    with tempfile.TemporaryDirectory() as place:
        A, B = (Path(shutil.copytree(options.folder / name, Path(place) / name)) for name in ("trainA", "trainB"))
        clean = [path for path in sorted(A.iterdir()) if path.name not in concerned]
        planted = plants(clean[:: max(1, len(clean) // 40)], A, B)
        print("With faults planted:")
        findings, end = examined(A, B)
        tell(findings, end)
        missed = 0
        said = {(finding.kind, path.name) for finding in findings for path in finding.files}
        for what, kind, files in planted:
            found = all((kind, path.name) in said for path in files)
            missed += not found
            print(f"  {'found ' if found else 'MISSED'} {what} ({kind})")
        known = {(finding.kind, path.name) for finding in before for path in finding.files}
        expected = {(kind, path.name) for _, kind, files in planted for path in files}
        others = sorted(said - known - expected)
        print(f"  {len(planted) - missed} of {len(planted)} found; said besides: {others or 'nothing'}")
    return 1 if missed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
