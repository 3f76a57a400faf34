from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.config import TrainConfig
from engine.data import picture_cache, preprocess
from engine.data.folders import scan_folder
from engine.data.picture_cache import CacheRoom
from engine.data.unpaired import Batch, UnpairedImages
from engine.errors import DataError

IN_MEMORY = CacheRoom(10**6)


def _flat_pictures(folder: Path, count: int) -> list[Path]:
    """Pictures whose every pixel is the picture's number, so that a crop tells where it is from."""
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (20, 12), (number, number, number)).save(folder / f"{number:03}.png")
    return list(scan_folder(folder).pictures)


def _images(
    tmp_path: Path,
    count_A: int,
    count_B: int,
    *,
    room: CacheRoom = IN_MEMORY,
    readers: int = 1,
    rank: int = 0,
    ranks: int = 1,
    **values: object,
) -> UnpairedImages:
    A = sorted((tmp_path / "A").glob("*")) or _flat_pictures(tmp_path / "A", count_A)
    B = sorted((tmp_path / "B").glob("*")) or _flat_pictures(tmp_path / "B", count_B)
    defaults: dict[str, object] = {"size": 32, "load_size": 34, "batch_size": 1, "seed": 3}
    config = TrainConfig(
        folder_A=tmp_path / "A", folder_B=tmp_path / "B", run=tmp_path / "run", **{**defaults, **values}
    )
    return UnpairedImages(A, B, config, room=room, readers=readers, rank=rank, ranks=ranks)


def _same(a: Batch, b: Batch) -> bool:
    return a.first_number == b.first_number and torch.equal(a.real_A, b.real_A) and torch.equal(a.real_B, b.real_B)


def _numbers(pictures: torch.Tensor) -> list[int]:
    return [int(picture.max()) for picture in pictures]


def test_an_epoch_shows_each_picture_of_the_longer_side_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    images = _images(tmp_path, 20, 6)
    assert images.steps_per_epoch == 20
    epochs = [[_numbers(images.batch(e * 20 + i).real_A)[0] for i in range(20)] for e in range(3)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_shorter_side_of_a_wraps_and_b_is_drawn_uniformly(tmp_path: Path) -> None:
    images = _images(tmp_path, 3, 12)
    shown = [images.batch(step) for step in range(480)]
    assert Counter(n for batch in shown for n in _numbers(batch.real_A)) == {0: 160, 1: 160, 2: 160}
    partners = Counter(n for batch in shown for n in _numbers(batch.real_B))
    assert set(partners) == set(range(12))
    assert max(partners.values()) < 2.2 * 40 and min(partners.values()) > 40 / 2.2


def test_crops_and_flips_are_random_and_each_side_has_its_own(tmp_path: Path) -> None:
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        ramp = np.tile(np.arange(34, dtype=np.uint8) * 4, (34, 1))
        Image.fromarray(np.stack([ramp, ramp.T, ramp], -1)).save(tmp_path / name / "ramp.png")
    images = _images(tmp_path, 1, 1)
    crops_A, crops_B = [], []
    for step in range(200):
        batch = images.batch(step)
        crops_A.append((*tuple(batch.real_A[0, :2, 0, 0].tolist()), bool(batch.real_A[0, 0, 0, 0] < 60)))
        crops_B.append((*tuple(batch.real_B[0, :2, 0, 0].tolist()), bool(batch.real_B[0, 0, 0, 0] < 60)))
    assert len(set(crops_A)) == len(set(crops_B)) == 3 * 3 * 2
    assert crops_A != crops_B


def test_a_step_shows_the_same_pictures_whenever_it_is_asked_for(tmp_path: Path) -> None:
    first, second = (_images(tmp_path, 7, 5, batch_size=2) for _ in range(2))
    with contextlib.closing(first.batches(0)) as batches:
        ahead = [next(batches) for _ in range(9)]
    again = second.batch(8)
    assert ahead[8].first_number == again.first_number
    assert torch.equal(ahead[8].real_A, again.real_A) and torch.equal(ahead[8].real_B, again.real_B)


def test_the_last_batch_of_an_epoch_holds_the_rest(tmp_path: Path) -> None:
    images = _images(tmp_path, 7, 5, batch_size=3)
    assert [len(images.batch(step).real_A) for step in range(4)] == [3, 3, 1, 3]
    assert [images.batch(step).first_number for step in range(4)] == [0, 3, 6, 7]


def test_pictures_that_do_not_fit_the_cache_are_read_again_with_the_same_result(tmp_path: Path) -> None:
    cached, uncached = _images(tmp_path, 5, 5), _images(tmp_path, 5, 5, room=CacheRoom(0))
    for step in range(10):
        assert torch.equal(cached.batch(step).real_A, uncached.batch(step).real_A)


@pytest.fixture
def all_worth_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures are read too fast to be kept on disk."""
    monkeypatch.setattr(picture_cache, "is_worth_a_file", lambda seconds: True)
    monkeypatch.setattr(picture_cache, "DISK_RESERVE_BYTES", 0)


def _count_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file is read, by its folder and name."""
    reads: Counter[str] = Counter()
    read = preprocess.read_deep_pixels
    monkeypatch.setattr(
        preprocess,
        "read_deep_pixels",
        lambda path: (reads.update([f"{path.parent.name}/{path.name}"]), read(path))[1],
    )
    return reads


def _mixed_pictures(tmp_path: Path) -> None:
    """Noise of several sizes, among it pictures with 16 bits."""
    random = np.random.default_rng(5)
    for name, count in (("A", 7), ("B", 5)):
        (tmp_path / name).mkdir()
        for number in range(count):
            size = (40 + 4 * number, 60 - 4 * number)
            if number % 3 == 2:
                Image.fromarray(random.integers(0, 2**16, size, dtype=np.uint16)).save(
                    tmp_path / name / f"{number}.png"
                )
            else:
                pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")


@pytest.mark.usefixtures("all_worth_a_file")
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"preprocess": "scale_width", "grey_A": True},
        {"preprocess": "none"},
        {"batch_size": 2, "accumulate": 2},
        {"jitter_in_decay": False, "epochs": 1},
        {"ranks": 2, "rank": 1},
    ],
)
@pytest.mark.parametrize("memory", [0, 20_000])
def test_pictures_kept_on_disk_are_read_once_and_change_no_bit(
    tmp_path: Path, values: dict[str, object], memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mixed_pictures(tmp_path)
    expected = _images(tmp_path, 7, 5, room=CacheRoom(0), **values)
    batches = [expected.batch(step) for step in range(40)]
    reads = _count_reads(monkeypatch)
    on_disk = _images(tmp_path, 7, 5, room=CacheRoom(memory, 10**8, tmp_path), **values)
    assert all(_same(on_disk.batch(step), batches[step]) for step in range(40))
    # Without jitter they have another size, once more for good.
    assert set(reads.values()) <= {1, 2} if "jitter_in_decay" in values else set(reads.values()) == {1}
    on_disk.close()


@pytest.mark.usefixtures("all_worth_a_file")
@pytest.mark.parametrize("values", [{}, {"jitter_in_decay": False, "epochs": 2}, {"batch_size": 3}])
def test_several_readers_change_no_bit_also_where_two_epochs_meet(tmp_path: Path, values: dict[str, object]) -> None:
    _mixed_pictures(tmp_path)
    expected = _images(tmp_path, 7, 5, room=CacheRoom(0), **values)
    for room in (CacheRoom(0), IN_MEMORY, CacheRoom(10_000, 10**8, tmp_path)):
        images = _images(tmp_path, 7, 5, room=room, readers=5, **values)
        with contextlib.closing(images.batches(0)) as batches:
            assert all(_same(next(batches), expected.batch(step)) for step in range(30))
        images.close()


@pytest.mark.usefixtures("all_worth_a_file")
def test_ranks_that_keep_pictures_on_one_disk_see_what_they_would_without(tmp_path: Path) -> None:
    _mixed_pictures(tmp_path)
    room = CacheRoom(0, 10**8, tmp_path)
    with_files = [_images(tmp_path, 7, 5, room=room, rank=rank, ranks=2) for rank in range(2)]
    without = [_images(tmp_path, 7, 5, room=CacheRoom(0), rank=rank, ranks=2) for rank in range(2)]
    for step in range(20):
        for kept, anew in zip(with_files, without, strict=True):
            assert _same(kept.batch(step), anew.batch(step))
    for images in with_files:
        images.close()


@pytest.mark.usefixtures("all_worth_a_file")
def test_space_on_disk_can_be_given_back_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = _count_reads(monkeypatch)
    images = _images(tmp_path, 3, 3, room=CacheRoom(0, 10**8, tmp_path), serial=True)
    expected = _images(tmp_path, 3, 3, room=CacheRoom(0), serial=True)
    assert all(_same(images.batch(step), expected.batch(step)) for step in range(6))
    reads.clear()
    assert images.give_back_disk() and not images.give_back_disk()
    assert all(_same(images.batch(step), expected.batch(step)) for step in range(6))
    assert set(reads.values()) == {4}


def test_the_source_pictures_are_as_they_were(tmp_path: Path) -> None:
    _mixed_pictures(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    images = _images(tmp_path, 7, 5, batch_size=2)
    for step in range(8):
        batch = images.batch(step)
        batch.real_A.zero_()
        batch.real_B.zero_()
    assert _same(images.batch(2), _images(tmp_path, 7, 5, batch_size=2).batch(2))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_unreadable_picture_is_replaced_and_named_once(tmp_path: Path) -> None:
    images = _images(tmp_path, 4, 4)
    broken = tmp_path / "A" / "002.png"
    broken.write_bytes(broken.read_bytes()[:40])
    shown = {n for step in range(8) for n in _numbers(images.batch(step).real_A)}
    assert shown == {0, 1, 3}
    problems = images.take_problems()
    assert len(problems) == 1 and "002.png" in problems[0]
    assert images.take_problems() == []


def test_a_vanished_folder_is_a_sentence_that_names_it(tmp_path: Path) -> None:
    images = _images(tmp_path, 4, 4)
    for path in (tmp_path / "B").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"None of the 4 pictures.*B"):
        images.batch(0)


def test_what_a_seed_shows_never_changes(tmp_path: Path) -> None:
    """Numbers written down from the first version: a training on disk goes on with the pictures it would have seen."""
    images = _images(tmp_path, 7, 5, load_size=40, batch_size=2)
    batches = [images.batch(step) for step in range(6)]
    assert [_numbers(batch.real_A) for batch in batches] == [[2, 1], [4, 0], [5, 6], [3], [5, 4], [3, 0]]
    assert [_numbers(batch.real_B) for batch in batches] == [[4, 3], [2, 3], [0, 2], [4], [3, 2], [4, 0]]
    ramps = np.arange(40 * 40, dtype=np.uint16).reshape(40, 40)
    for number in range(7):
        pixels = np.stack([ramps % 40, ramps // 40, np.full_like(ramps, number)], -1).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "A" / f"{number:03}.png")
    batch = _images(tmp_path, 7, 5, load_size=40, batch_size=2).batch(5)
    assert batch.real_A[:, :2, 0, 0].tolist() == [[6, 2], [31, 4]]


def test_with_flips_off_no_picture_is_mirrored(tmp_path: Path) -> None:
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        ramp = np.tile(np.arange(34, dtype=np.uint8) * 4, (34, 1))
        Image.fromarray(ramp).save(tmp_path / name / "ramp.png")
    images = _images(tmp_path, 1, 1, flip=False)
    for step in range(40):
        batch = images.batch(step)
        assert (batch.real_A.diff(dim=-1) == 4).all() and (batch.real_B.diff(dim=-1) == 4).all()


def test_in_serial_order_both_sides_follow_their_lists_and_the_shorter_one_wraps(tmp_path: Path) -> None:
    images = _images(tmp_path, 3, 5, serial=True, batch_size=2)
    batches = [images.batch(step) for step in range(6)]
    assert [_numbers(batch.real_A) for batch in batches] == [[0, 1], [2, 0], [1], [0, 1], [2, 0], [1]]
    assert [_numbers(batch.real_B) for batch in batches] == [[0, 1], [2, 3], [4], [0, 1], [2, 3], [4]]


def test_a_step_has_the_pictures_of_all_its_accumulated_batches(tmp_path: Path) -> None:
    accumulated = _images(tmp_path, 7, 5, batch_size=1, accumulate=3)
    at_once = _images(tmp_path, 7, 5, batch_size=3)
    assert accumulated.steps_per_epoch == 3
    assert all(_same(accumulated.batch(step), at_once.batch(step)) for step in range(7))


@pytest.mark.parametrize(("grey_A", "grey_B"), [(True, False), (False, True), (True, True)])
def test_a_grey_domain_has_one_channel(tmp_path: Path, grey_A: bool, grey_B: bool) -> None:
    batch = _images(tmp_path, 3, 3, grey_A=grey_A, grey_B=grey_B).batch(0)
    assert batch.real_A.shape == (1, 1 if grey_A else 3, 32, 32)
    assert batch.real_B.shape == (1, 1 if grey_B else 3, 32, 32)


def test_crops_need_not_be_squares(tmp_path: Path) -> None:
    batch = _images(tmp_path, 3, 3, width=48, batch_size=2).batch(0)
    assert batch.real_A.shape == batch.real_B.shape == (2, 3, 32, 48)


def test_a_batch_with_a_deep_picture_is_float_and_its_levels_are_not_rounded(tmp_path: Path) -> None:
    _flat_pictures(tmp_path / "A", 1)
    deep = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    Image.fromarray(deep).save(tmp_path / "A" / "deep.png")
    batch = _images(tmp_path, 2, 3, preprocess="crop", batch_size=2).batch(0)
    assert batch.real_A.dtype == torch.float32 and batch.real_B.dtype == torch.uint8
    assert sorted(len(picture.unique()) for picture in batch.real_A) == [1, 32 * 32]
    assert float(batch.real_A.max()) <= 255.0


def test_without_jitter_the_decay_phase_shows_whole_pictures(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    ramp = np.tile(np.linspace(0, 255, 80, dtype=np.uint8), (80, 1))
    for number in range(2):
        Image.fromarray(ramp).save(tmp_path / "A" / f"{number}.png")
    images = _images(tmp_path, 2, 2, load_size=64, epochs=3, decay_epochs=3, jitter_in_decay=False)
    spans = [int(np.ptp(images.batch(step).real_A[0, 0, 0].numpy())) for step in range(12)]
    assert all(span < 150 for span in spans[:6])
    assert all(span > 240 for span in spans[6:])
    mirrored = {bool(images.batch(step).real_A[0, 0, 0, 0] > 128) for step in range(6, 40)}
    assert mirrored == {True, False}
    jittered = _images(tmp_path, 2, 2, load_size=64, epochs=3, decay_epochs=3)
    assert int(np.ptp(jittered.batch(8).real_A[0, 0, 0].numpy())) < 150
    assert _same(jittered.batch(2), images.batch(2))


@pytest.mark.parametrize("values", [{}, {"preprocess": "none"}, {"grey_A": True}])
def test_the_cache_keeps_to_its_bytes(
    tmp_path: Path, values: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[str] = Counter()
    read = preprocess.read_deep_pixels
    monkeypatch.setattr(preprocess, "read_deep_pixels", lambda path: (reads.update([path.name]), read(path))[1])
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        for number in range(6):
            side = 40 + 20 * (number % 2)
            Image.new("RGB", (side, side), (number, 0, 0)).save(tmp_path / name / f"{name}{number}.png")
    # Room for as many bytes of A as two of its pictures have, and for none of B.
    sizes = {"preprocess": [40, 60]}.get(next(iter(values), ""), [34, 34])
    bytes_A = (1 if "grey_A" in values else 3) * sum(side * side for side in sizes)
    images = _images(tmp_path, 6, 6, room=CacheRoom(2 * bytes_A), serial=True, **values)
    for step in range(18):
        images.batch(step)
    assert sorted(reads[f"A{number}.png"] for number in range(6)) == [1, 1, 3, 3, 3, 3]


@pytest.mark.parametrize(("ranks", "batch_size"), [(2, 1), (3, 1), (2, 2), (3, 2)])
def test_ranks_share_an_epoch_without_overlap_and_none_waits(tmp_path: Path, ranks: int, batch_size: int) -> None:
    count = 13
    sides = [_images(tmp_path, count, 4, rank=rank, ranks=ranks, batch_size=batch_size) for rank in range(ranks)]
    steps = sides[0].steps_per_epoch
    assert {images.steps_per_epoch for images in sides} == {-(-count // (batch_size * ranks))}
    for epoch in range(2):
        seen: Counter[int] = Counter()
        for step in range(epoch * steps, (epoch + 1) * steps):
            shares = [_numbers(images.batch(step).real_A) for images in sides]
            assert len({len(share) for share in shares}) == 1
            seen.update(number for share in shares for number in share)
        repeated = -(-count // ranks) * ranks - count
        assert set(seen) == set(range(count))
        assert sorted(seen.values()) == [1] * (count - repeated) + [2] * repeated


def test_ranks_draw_and_crop_on_their_own(tmp_path: Path) -> None:
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        pixels = np.stack(np.broadcast_arrays(np.arange(60)[:, None], np.arange(60), 0), -1).astype(np.uint8)
        for number in range(12):
            pixels[..., 2] = number
            Image.fromarray(pixels).save(tmp_path / name / f"{number:02}.png")
    first, second = (_images(tmp_path, 12, 12, rank=rank, ranks=2, load_size=60) for rank in range(2))
    batches = [(first.batch(step), second.batch(step)) for step in range(12)]
    numbers = [batch.first_number for pair in batches for batch in pair]
    assert len(set(numbers)) == len(numbers)
    assert sum(torch.equal(a.real_A[:, :2], b.real_A[:, :2]) for a, b in batches) < 3
    assert sum(int(a.real_B[0, 2].max()) == int(b.real_B[0, 2].max()) for a, b in batches) < 6


def test_ranks_together_see_what_one_process_with_their_batches_sees(tmp_path: Path) -> None:
    ranks = [_images(tmp_path, 12, 5, load_size=40, rank=rank, ranks=2, batch_size=2) for rank in range(2)]
    alone = _images(tmp_path, 12, 5, load_size=40, batch_size=4)
    for step in range(2 * alone.steps_per_epoch):
        shares = [images.batch(step) for images in ranks]
        whole = alone.batch(step)
        assert torch.equal(torch.cat([share.real_A for share in shares]), whole.real_A)
        assert torch.equal(torch.cat([share.real_B for share in shares]), whole.real_B)
        assert [share.first_number for share in shares] == [whole.first_number, whole.first_number + 2]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"preprocess": "crop", "flip": False},
        {"preprocess": "scale_width", "accumulate": 1},
        {"preprocess": "scale_width_and_crop", "grey_B": True},
        {"preprocess": "none"},
        {"serial": True, "batch_size": 2},
        {"jitter_in_decay": False, "epochs": 1},
        {"ranks": 2, "rank": 1},
    ],
)
def test_a_step_is_the_same_in_any_order_and_after_a_resume(tmp_path: Path, values: dict[str, object]) -> None:
    random = np.random.default_rng(0)
    for name, count in (("A", 5), ("B", 3)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = random.integers(0, 256, (36 + 4 * number, 60 - 4 * number, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    in_order = _images(tmp_path, 5, 3, **values)
    batches = [in_order.batch(step) for step in range(12)]
    backwards = _images(tmp_path, 5, 3, **values)
    assert all(_same(backwards.batch(step), batches[step]) for step in reversed(range(12)))
    with contextlib.closing(_images(tmp_path, 5, 3, **values).batches(7)) as resumed:
        assert all(_same(next(resumed), batches[step]) for step in range(7, 12))
