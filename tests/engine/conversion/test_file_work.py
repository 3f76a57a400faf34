"""A file becomes frames and frames a file, of which several never are in memory together."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.config import OutputSettings
from engine.conversion import file_work
from engine.conversion.file_work import Decoded, FrameStack, NotWritten, TooLargeNow, Written, decode, write
from engine.conversion.space import RESERVE_BYTES
from engine.data.source_file import Frame
from engine.errors import PictureError


def draw(path: Path, count: int = 1, size: tuple[int, int] = (30, 20)) -> Path:
    images = [
        Image.fromarray(np.random.default_rng(n).integers(0, 255, (size[1], size[0], 4), np.uint8))
        for n in range(count)
    ]
    images[0].save(path, save_all=count > 1, append_images=images[1:])
    return path


def read(path: Path, **values: object) -> Decoded | TooLargeNow:
    arguments = {"frames": "all", "max_megapixels": 100, "longest": None, "most_bytes": None}
    return decode(path, **{**arguments, **values}, file=path.with_name("spilled"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_several_frames_are_kept_in_a_file_and_come_back_as_they_were(tmp_path: Path, dtype: type) -> None:
    random = np.random.default_rng(0)
    frames = [
        Frame(
            random.integers(0, np.iinfo(dtype).max, (5 + n, 7, 3), dtype),
            alpha=random.integers(0, 9, (5 + n, 7), dtype) if n % 2 else None,
            milliseconds=n * 10.0,
            notes=("Something is lost.", f"And {n}."),
        )
        for n in range(4)
    ]
    stack = FrameStack(tmp_path / "frames")
    for frame in frames:
        stack.append(frame)
    stack = pickle.loads(pickle.dumps(stack))
    changed = 255 - frames[2].pixels
    stack.replace(2, changed)
    assert len(stack) == 4
    for number, (frame, back) in enumerate(zip(frames, stack, strict=True)):
        assert np.array_equal(back.pixels, changed if number == 2 else frame.pixels)
        assert back.pixels.dtype == dtype
        assert (back.alpha is None) == (frame.alpha is None)
        assert frame.alpha is None or np.array_equal(back.alpha, frame.alpha)
        assert (back.milliseconds, back.notes) == (frame.milliseconds, frame.notes)
    assert stack.notes == ("Something is lost.", "And 0.", "And 1.", "And 2.", "And 3.")


def test_what_crosses_between_processes_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    stack = FrameStack(tmp_path / "frames")
    for _ in range(3):
        stack.append(Frame(np.zeros((500, 500, 3), np.uint8), alpha=np.zeros((500, 500), np.uint8)))
    assert len(pickle.dumps(stack)) < 5000


def test_a_frame_of_another_shape_is_a_bug(tmp_path: Path) -> None:
    stack = FrameStack(tmp_path / "frames")
    for _ in range(2):
        stack.append(Frame(np.zeros((5, 6, 3), np.uint8)))
    with pytest.raises(AssertionError):
        stack.replace(0, np.zeros((6, 5, 3), np.uint8))


def test_a_single_frame_needs_no_file(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    decoded = read(picture)
    assert isinstance(decoded, Decoded)
    assert len(decoded.frames) == 1
    assert decoded.source.size == (30, 20)
    assert decoded.source_print.sha256 == hashlib.sha256(picture.read_bytes()).hexdigest()
    assert decoded.source_print.mtime_ns == picture.stat().st_mtime_ns
    assert not (tmp_path / "spilled").exists()


def test_frames_are_scaled_when_they_are_read(tmp_path: Path) -> None:
    decoded = read(draw(tmp_path / "a.tiff", 3), longest=15)
    assert isinstance(decoded, Decoded)
    assert [frame.pixels.shape for frame in decoded.frames] == [(10, 15, 3)] * 3
    assert (tmp_path / "spilled").stat().st_size == 3 * 10 * 15 * 4


def test_more_memory_than_allowed_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_work, "fingerprint", lambda path: pytest.fail("it was read"))
    assert read(draw(tmp_path / "a.png"), most_bytes=12 * 600 - 1) == TooLargeNow((30, 20))


def test_many_frames_are_not_put_on_the_disk_while_others_are_at_work(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.tiff", 30)
    assert read(picture, most_bytes=4 * 30 * 600 - 1) == TooLargeNow((30, 20))
    assert not (tmp_path / "spilled").exists()
    assert isinstance(read(picture, most_bytes=4 * 30 * 600 - 1, longest=15), Decoded)


def test_frames_that_do_not_fit_on_the_disk_are_refused_by_name_before_they_fill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = draw(tmp_path / "a.tiff", 50)
    needed = 50 * 30 * 20 * 4
    monkeypatch.setattr(file_work, "free_bytes", lambda folder: RESERVE_BYTES + needed - 1)
    with pytest.raises(PictureError, match=r"a\.tiff has 50 frames of 30 x 20 pixels, which need .*--frames first"):
        read(picture)
    assert not (tmp_path / "spilled").exists()
    assert isinstance(read(picture, frames="first"), Decoded)
    monkeypatch.setattr(file_work, "free_bytes", lambda folder: RESERVE_BYTES + needed)
    assert isinstance(read(picture), Decoded)


def test_a_full_disk_is_no_fault_of_the_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_work, "free_bytes", lambda folder: RESERVE_BYTES - 1)
    with pytest.raises(OSError) as failure:
        read(draw(tmp_path / "a.tiff", 2))
    assert failure.value.errno == errno.ENOSPC


def test_all_frames_together_have_a_ceiling_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_work, "MOST_SIZES_OF_FRAMES", 2)
    picture = draw(tmp_path / "a.tiff", 5, (1000, 500))
    with pytest.raises(PictureError, match=r"more than 2 million pixels together.*--max-megapixels"):
        read(picture, max_megapixels=1)
    assert not (tmp_path / "spilled").exists()
    assert isinstance(read(picture, max_megapixels=2), Decoded)
    assert isinstance(read(picture, max_megapixels=1, longest=500), Decoded)


def test_pages_that_grow_meet_the_ceiling_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_work, "MOST_SIZES_OF_FRAMES", 1)
    pages = [Image.new("RGB", (side, 1000)) for side in (10, 900, 900)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    with pytest.raises(PictureError, match="3 frames"):
        read(tmp_path / "a.tiff", max_megapixels=1)


@pytest.mark.parametrize("count", [1, 3])
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    picture, other = draw(tmp_path / "a.tiff", count), draw(tmp_path / "b.tiff", count, (12, 10))
    whole = file_work.fingerprint

    def replace_first(path: Path) -> object:
        if other.exists():
            other.replace(path)
        return whole(path)

    monkeypatch.setattr(file_work, "fingerprint", replace_first)
    decoded = read(picture)
    assert isinstance(decoded, Decoded)
    assert decoded.source_print.sha256 == hashlib.sha256(picture.read_bytes()).hexdigest()
    assert [frame.pixels.shape for frame in decoded.frames] == [(10, 12, 3)] * count


def test_a_file_that_changes_all_the_time_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = draw(tmp_path / "a.tiff", 2)
    whole = file_work.fingerprint
    times = iter(range(1, 9))

    def change(path: Path) -> object:
        os.utime(path, ns=(0, next(times)))
        return whole(path)

    monkeypatch.setattr(file_work, "fingerprint", change)
    with pytest.raises(PictureError, match=r"a\.tiff is being changed"):
        read(picture)
    assert not (tmp_path / "spilled").exists()


def test_a_written_result_is_on_the_disk_and_described(tmp_path: Path) -> None:
    decoded = read(draw(tmp_path / "a.png"))
    assert isinstance(decoded, Decoded)
    written = write(decoded.frames, decoded.source, OutputSettings(format="jpg"), tmp_path / "temporary")
    assert isinstance(written, Written)
    data = (tmp_path / "temporary").read_bytes()
    assert written.suffix == ".jpg"
    assert written.result_print.size == len(data)
    assert written.result_print.sha256 == hashlib.sha256(data).hexdigest()
    assert written.result_print.mtime_ns == (tmp_path / "temporary").stat().st_mtime_ns
    with Image.open(tmp_path / "temporary") as image:
        assert (image.format, image.size) == ("JPEG", (30, 20))


def test_what_the_disk_refuses_is_told_with_its_size(tmp_path: Path) -> None:
    decoded = read(draw(tmp_path / "a.png"))
    assert isinstance(decoded, Decoded)
    refused = write(decoded.frames, decoded.source, OutputSettings(), tmp_path / "gone" / "temporary")
    assert isinstance(refused, NotWritten)
    assert isinstance(refused.error, FileNotFoundError) and refused.size > 1000
    again = pickle.loads(pickle.dumps(refused))
    assert (again.error.errno, again.size) == (refused.error.errno, refused.size)


def test_a_bad_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"bad")
    with pytest.raises(PictureError, match=r"a\.png"):
        read(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"gone\.png"):
        read(tmp_path / "gone.png")


def test_what_works_in_processes_imports_no_torch() -> None:
    code = "import sys, engine.conversion.file_work, engine.data.workers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0


def test_frames_are_never_changed_in_place(tmp_path: Path) -> None:
    stack = FrameStack(tmp_path / "frames")
    frame = Frame(np.zeros((2, 2, 3), np.uint8))
    stack.keep(frame)
    stack.replace(0, np.ones((2, 2, 3), np.uint8))
    assert frame.pixels.sum() == 0
    assert dataclasses.replace(stack.get(0)).pixels.sum() == 12
