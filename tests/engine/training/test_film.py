from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from engine.config import TrainConfig
from engine.errors import RunError
from engine.events import FilmExported, Preparing, Sample
from engine.training.film import export_film
from engine.training.run import Choices, Pictures, Run
from engine.training.sheets import write_sheet

STEPS = (0, 10, 20, 35)
SIDE = 32


@pytest.fixture
def run(tiny_config: Callable[..., TrainConfig]) -> Run:
    """Four moments of two pictures of A and one of B; the middle two are translated alike."""
    config = tiny_config()
    choices = Choices(device="cpu", hardware="a processor", precision="fp32", threads=1)
    run = Run.create(
        config, choices, Pictures(train_A=(), train_B=(), sample_A=_paths(config)[:2], sample_B=(), held_out=True)
    )
    for step in STEPS:
        _write_moment(run, step, _paths(config))
    run.close()
    return run


def _paths(config: TrainConfig) -> tuple[Path, Path, Path]:
    return config.folder_A / "000.png", config.folder_A / "001.png", config.folder_B / "000.png"


def _write_moment(run: Run, step: int, paths: tuple[Path, ...], red: int = 200) -> None:
    flat = lambda *colour: np.full((SIDE, SIDE, 3), colour, np.uint8)  # noqa: E731
    brightness = {10: 100, 20: 100}.get(step, 3 * step)
    samples = [Sample("a2b", path, flat(red, 0, 0), flat(0, 0, brightness), flat(red, 0, 0)) for path in paths[:-1]]
    write_sheet(run.sheet(step, "a2b"), samples, run.config.folder_A)
    samples = [Sample("b2a", paths[-1], flat(0, 0, 200), flat(brightness, 0, 0), flat(0, 0, 200))]
    write_sheet(run.sheet(step, "b2a"), samples, run.config.folder_B)


def _frames(path: Path) -> list[tuple[np.ndarray, float]]:
    """Pixels and milliseconds of each frame, as Pillow reads them."""
    with Image.open(path) as image:
        return [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("ending", [".webp", ".gif", ".png", ".apng"])
def test_each_moment_is_a_frame_even_where_nothing_changes(run: Run, tmp_path: Path, ending: str) -> None:
    film = tmp_path / f"film{ending}"
    events = list(export_film(run.folder, None, film, moments_per_second=5))
    assert all(isinstance(event, Preparing) for event in events[:-1])
    assert events[-1] == FilmExported(film, 4, pytest.approx(2.6), 3)
    frames = _frames(film)
    assert [milliseconds for _, milliseconds in frames] == [200, 200, 200, 2000]
    for (pixels, _), brightness in zip(frames, (0, 100, 100, 105), strict=True):
        assert pixels.shape == (3 * 36 - 4 + 24, 3 * 36 - 4, 3)
        # The middle of the original and of the translation of the first picture, and of the last.
        for place, expected in (
            ((16, 16), (200, 0, 0)),
            ((16, 52), (0, 0, brightness)),
            ((88, 52), (brightness, 0, 0)),
            ((34, 16), (255, 255, 255)),
        ):
            assert np.abs(pixels[place].astype(int) - expected).max() < 12
    # The step is written below.
    assert all(pixels[-24:].min() < 128 for pixels, _ in frames)
    with Image.open(film) as image:
        assert image.info.get("loop", 0) == 0


def test_one_picture_or_one_direction_is_shown_alone(run: Run, tmp_path: Path) -> None:
    source = _paths(run.config)[2]
    assert list(export_film(run.folder, source, tmp_path / "one.gif"))[-1].pictures == 1
    assert list(export_film(run.folder, None, tmp_path / "two.gif", direction="a2b"))[-1].pictures == 2
    pixels, _ = _frames(tmp_path / "one.gif")[0]
    assert pixels.shape[0] == 32 + 24
    with pytest.raises(RunError, match=r"no such picture.*000\.png \(a2b\)"):
        list(export_film(run.folder, source, tmp_path / "none.gif", direction="a2b"))


def test_of_too_many_moments_the_first_and_the_newest_are_shown(run: Run, tmp_path: Path) -> None:
    assert list(export_film(run.folder, None, tmp_path / "f.webp", most_frames=2))[-1].frames == 2
    first, last = (pixels for pixels, _ in _frames(tmp_path / "f.webp"))
    assert np.abs(first[16, 52].astype(int) - (0, 0, 0)).max() < 12
    assert np.abs(last[16, 52].astype(int) - (0, 0, 105)).max() < 12


def test_damaged_moments_are_left_out_and_older_ones_show_their_own_pictures(run: Run, tmp_path: Path) -> None:
    config = run.config
    # The second picture of A is another one from now on.
    first, _, of_B = _paths(config)
    _write_moment(run, 50, (first, config.folder_A / "002.png", of_B), red=90)
    for direction in ("a2b", "b2a"):
        run.sheet(20, direction).write_bytes(b"damaged")
    assert list(export_film(run.folder, None, tmp_path / "f.png"))[-1].frames == 4
    pixels = [pixels for pixels, _ in _frames(tmp_path / "f.png")]
    assert [tuple(frame[52, 16]) for frame in pixels] == [(200, 0, 0)] * 3 + [(90, 0, 0)]
    # Alone, only the moments that have it.
    assert list(export_film(run.folder, config.folder_A / "002.png", tmp_path / "one.png"))[-1].frames == 1


def test_a_picture_that_an_older_moment_has_no_other_for_is_white_in_it(run: Run, tmp_path: Path) -> None:
    first, second, of_B = _paths(run.config)
    _write_moment(run, 50, (first, second, run.config.folder_A / "002.png", of_B))
    list(export_film(run.folder, None, tmp_path / "f.png"))
    pixels = [pixels for pixels, _ in _frames(tmp_path / "f.png")]
    assert [tuple(frame[88, 16]) for frame in pixels] == [(255, 255, 255)] * 4 + [(200, 0, 0)]


def test_a_film_is_written_over_nothing_and_only_as_what_it_can_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "there.gif").write_bytes(b"mine")
    with pytest.raises(RunError, match=r"there\.gif is already there"):
        list(export_film(run.folder, None, tmp_path / "there.gif"))
    events = export_film(run.folder, None, tmp_path / "soon.gif")
    next(events)
    (tmp_path / "soon.gif").write_bytes(b"mine")
    with pytest.raises(RunError, match=r"soon\.gif is already there"):
        list(events)
    assert (tmp_path / "soon.gif").read_bytes() == (tmp_path / "there.gif").read_bytes() == b"mine"
    with pytest.raises(RunError, match=r"\.webp, \.gif or \.png"):
        list(export_film(run.folder, None, tmp_path / "film.mp4"))
    with pytest.raises(RunError, match="not there"):
        list(export_film(run.folder, None, tmp_path / "nowhere/film.gif"))
    with pytest.raises(RunError, match="no samples yet"):
        list(export_film(tmp_path, None, tmp_path / "film.gif"))
    assert not list(tmp_path.glob(".*"))


def test_a_stopped_export_leaves_nothing(run: Run, tmp_path: Path) -> None:
    events = export_film(run.folder, None, tmp_path / "f.webp")
    for event in events:
        if event.text == "Writing the film" and event.done == 2:
            break
    events.close()
    assert not list(tmp_path.glob("*.webp")) and not list(tmp_path.glob(".f*"))
