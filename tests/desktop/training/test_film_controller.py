from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QLabel, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training.film_controller import FilmController
from cyclegan_desktop.training.film_strip import FilmStrip
from cyclegan_desktop.training.film_work import FilmEngine
from engine.errors import RunError
from engine.events import Moment, Sample, SamplesDrawn
from engine.training.run import Pictures


class Disk:
    """A run on a made-up disk, whose moments have the brightness of their number."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        folder.mkdir()
        for n in range(6):
            Image.new("RGB", (8, 8)).save(folder / f"{n}.png")
        self.moments = [Moment(10 * n, (folder / f"{n}.png",), self.model(10 * n)) for n in range(count)]
        self.read: list[int] = []
        self.starred: list[tuple[int, bool]] = []
        self.chosen: list[tuple[Sequence[Path], Sequence[Path]]] = []
        self.held_out = True
        self.gate: threading.Event | None = None
        self.fails = False
        self.sources = {10 * n: "picture" for n in range(count)}

    def model(self, step: int) -> Path | None:
        """Every other moment has its model."""
        return self.folder / "moments" / f"step_{step:08d}.safetensors" if step % 20 == 0 else None

    def engine(self) -> FilmEngine:
        return FilmEngine(
            read_moments=lambda _run: tuple(self.moments),
            read_samples=self.read_samples,
            set_star=self.set_star,
            read_pictures=self.read_pictures,
            choose_samples=self.choose_samples,
            export_film=lambda *_, **__: iter(()),
        )

    def read_samples(self, moment: Moment) -> tuple[Sample, ...]:
        if self.gate is not None:
            assert self.gate.wait(30)
        self.read.append(moment.step)
        if self.fails:
            raise OSError("The disk has gone")
        return samples_of(moment.step, self.sources.get(moment.step, "picture"))

    def set_star(self, _run: Path, step: int, on: bool) -> tuple[Moment, ...]:
        if step not in [moment.step for moment in self.moments]:
            raise RunError(f"The samples of step {step} have just been thinned away.")
        self.starred.append((step, on))
        self.moments = [Moment(m.step, m.files, m.model, on if m.step == step else m.is_starred) for m in self.moments]
        return tuple(self.moments)

    def read_pictures(self, _run: Path) -> Pictures:
        held = tuple(self.folder / f"{n}.png" for n in range(6))
        return Pictures(train_A=(), train_B=(), sample_A=held, sample_B=held, held_out=self.held_out)

    def choose_samples(self, _run: Path, pictures_A: Sequence[Path], pictures_B: Sequence[Path]) -> None:
        self.chosen.append((pictures_A, pictures_B))


def samples_of(step: int, name: str = "picture", side: int = 8) -> tuple[Sample, ...]:
    picture = np.full((side, side, 3), step % 256, np.uint8)
    return tuple(Sample(d, Path(f"{name}_{d}.png"), picture, picture, picture) for d in ("a2b", "b2a"))


def drawn(disk: Disk, step: int, *, held_out: bool = True) -> SamplesDrawn:
    """The training has drawn samples, and the disk has one moment more."""
    disk.moments.append(Moment(step, (), disk.model(step)))
    return SamplesDrawn(step, samples_of(step), held_out, (), tuple(disk.moments))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "run", 5)


@pytest.fixture
def strip(qtbot: QtBot) -> Iterator[FilmStrip]:
    made = FilmStrip()
    qtbot.addWidget(made)
    made.resize(640, 520)
    made.show()
    qtbot.waitExposed(made)
    yield made


@pytest.fixture
def film(strip: FilmStrip, disk: Disk, settings: Settings) -> Iterator[FilmController]:
    made = FilmController(strip, settings, engine=disk.engine())
    yield made
    made.close()


@pytest.fixture
def opened(film: FilmController, disk: Disk, strip: FilmStrip, qtbot: QtBot) -> FilmController:
    film.set_run(disk.folder)
    qtbot.waitUntil(lambda: shown(strip) == 40)
    return film


def shown(strip: FilmStrip) -> int | None:
    """The step whose pictures are seen, by their brightness."""
    buttons = strip._overview._buttons
    return int(buttons[0].sample.translated[0, 0, 0]) if strip._overview.isVisible() and buttons else None


def words(strip: FilmStrip) -> str:
    return strip.findChild(QLabel, "film_words").text()


def tool(strip: FilmStrip, name: str) -> QToolButton:
    return strip.findChild(QToolButton, name)


def go_to(strip: FilmStrip, place: int) -> None:
    strip._timeline.setValue(place)


def test_a_run_at_rest_is_opened_at_its_newest_moment(opened: FilmController, strip: FilmStrip, disk: Disk) -> None:
    assert words(strip) == "Step 40, with its model"
    assert disk.read == [40]


def test_a_moment_that_is_gone_to_is_read_and_shown(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    go_to(strip, 1)
    assert words(strip) == "Step 10, pictures only"
    qtbot.waitUntil(lambda: shown(strip) == 10)
    go_to(strip, 4)
    assert shown(strip) == 40
    assert disk.read == [40, 10], "What has been read is not read again."


def test_live_shows_new_samples_as_they_come(opened: FilmController, strip: FilmStrip, disk: Disk) -> None:
    opened.set_training(True)
    opened.take(drawn(disk, 50))
    assert shown(strip) == 50
    assert words(strip) == "Live: Step 50, pictures only"
    assert 50 not in disk.read


def test_scrubbed_back_new_samples_do_not_jump_away_and_live_brings_one_back(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    opened.set_training(True)
    go_to(strip, 2)
    qtbot.waitUntil(lambda: shown(strip) == 20)
    opened.take(drawn(disk, 50))
    assert (shown(strip), words(strip)) == (20, "Step 20, with its model")
    assert strip._timeline.maximum() == 5
    strip.findChild(QPushButton, "film_newest").click()
    assert shown(strip) == 50
    opened.take(drawn(disk, 60))
    assert shown(strip) == 60


def test_the_end_of_the_timeline_is_live_again(opened: FilmController, strip: FilmStrip, disk: Disk) -> None:
    go_to(strip, 2)
    assert not opened.is_live
    go_to(strip, 4)
    assert opened.is_live
    opened.take(drawn(disk, 50))
    assert shown(strip) == 50


def test_a_moment_that_is_thinned_away_gives_way_to_the_one_nearest_to_it(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    go_to(strip, 1)
    qtbot.waitUntil(lambda: shown(strip) == 10)
    del disk.moments[1]
    opened.take(drawn(disk, 50))
    assert words(strip) == "Step 20, with its model"
    qtbot.waitUntil(lambda: shown(strip) == 20)


def test_scrubbing_shows_the_latest_asked_for_and_leaves_out_what_was_passed(
    film: FilmController, strip: FilmStrip, settings: Settings, tmp_path: Path, qtbot: QtBot
) -> None:
    disk = Disk(tmp_path / "long", 200)
    film._engine = disk.engine()
    film.set_run(disk.folder)
    qtbot.waitUntil(lambda: film._shown == 1990)
    disk.gate = threading.Event()
    # The disk stands still: whoever waited for it here would wait for ever.
    for place in range(198, -1, -1):
        go_to(strip, place)
    disk.gate.set()
    qtbot.waitUntil(lambda: film._shown == 0)
    assert len(disk.read) < 10, "Only the first and the last of those passed are read."
    assert words(strip).startswith("Step 0")


def test_the_memory_of_a_long_film_is_bounded(
    film: FilmController, strip: FilmStrip, tmp_path: Path, qtbot: QtBot
) -> None:
    disk = Disk(tmp_path / "long", 30)
    film._engine = FilmEngine(
        read_moments=lambda _run: tuple(disk.moments), read_samples=lambda moment: samples_of(moment.step, side=1000)
    )
    film.set_run(disk.folder)
    for place in range(30):
        qtbot.waitUntil(lambda: bool(film.moments))
        go_to(strip, place)
        qtbot.waitUntil(lambda step=10 * place: film._shown == step)
    # 30 x 18 MB were seen.
    assert film.cached_bytes <= 96_000_000


def test_what_cannot_be_read_is_said_and_another_moment_shows(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    disk.fails = True
    go_to(strip, 1)
    qtbot.waitUntil(strip._placeholder.isVisible)
    assert "pictures of step 10 cannot be read" in strip._placeholder.text()
    go_to(strip, 4)
    assert shown(strip) == 40


def test_the_film_is_played_to_its_end_and_stops_there(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    strip._speed.setCurrentIndex(2)
    seen: list[int | None] = []
    tool(strip, "film_play").click()
    assert tool(strip, "film_play").accessibleName() == "Stop playing"

    def is_over() -> bool:
        if not seen or seen[-1] != shown(strip):
            seen.append(shown(strip))
        return tool(strip, "film_play").accessibleName() == "Play the film"

    qtbot.waitUntil(is_over)
    assert sorted(set(disk.read)) == [0, 10, 20, 30, 40]
    assert shown(strip) == 40
    assert opened.is_live


def test_scrubbing_stops_the_film(opened: FilmController, strip: FilmStrip, qtbot: QtBot) -> None:
    tool(strip, "film_play").click()
    qtbot.waitUntil(lambda: opened._step == 10)
    go_to(strip, 3)
    assert tool(strip, "film_play").accessibleName() == "Play the film"
    assert not opened._player.isActive()


def test_a_star_is_set_and_taken_away(opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot) -> None:
    go_to(strip, 2)
    tool(strip, "film_star").click()
    qtbot.waitUntil(lambda: tool(strip, "film_star").isChecked())
    assert words(strip) == "Step 20, starred, with its model"
    tool(strip, "film_star").click()
    qtbot.waitUntil(lambda: not tool(strip, "film_star").isChecked())
    assert disk.starred == [(20, True), (20, False)]


def test_others_hear_of_moments_and_stars_and_not_of_scrubbing(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    heard: list[list[int]] = []
    opened.moments_changed.connect(lambda moments: heard.append([m.step for m in moments if m.is_starred]))
    go_to(strip, 2)
    assert heard == []
    tool(strip, "film_star").click()
    qtbot.waitUntil(lambda: heard == [[20]])
    opened.take(drawn(disk, 50))
    assert heard == [[20], [20]]


def test_samples_drawn_before_the_star_was_set_do_not_take_it_away(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    before = drawn(disk, 50)
    go_to(strip, 2)
    tool(strip, "film_star").click()
    qtbot.waitUntil(lambda: tool(strip, "film_star").isChecked())
    opened.take(before)
    assert tool(strip, "film_star").isChecked()


def test_a_star_that_somebody_else_has_taken_away_goes(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    go_to(strip, 2)
    tool(strip, "film_star").click()
    qtbot.waitUntil(lambda: tool(strip, "film_star").isChecked())
    opened.take(drawn(disk, 50))
    assert tool(strip, "film_star").isChecked()
    disk.set_star(disk.folder, 20, False)
    opened.take(drawn(disk, 60))
    assert not tool(strip, "film_star").isChecked()


def test_a_star_that_came_too_late_is_said(opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot) -> None:
    go_to(strip, 2)
    del disk.moments[2]
    tool(strip, "film_star").click()
    qtbot.waitUntil(lambda: strip.messages.texts == ["The samples of step 20 have just been thinned away."])
    assert not tool(strip, "film_star").isChecked()


def test_converting_stars_the_moment_first_so_that_it_stays(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    go_to(strip, 2)
    with qtbot.waitSignal(opened.convert_requested) as asked:
        tool(strip, "film_convert").click()
    assert asked.args == [disk.model(20)]
    assert disk.starred == [(20, True)]
    with qtbot.waitSignal(opened.convert_requested):
        tool(strip, "film_convert").click()
    assert disk.starred == [(20, True)]


def test_a_model_that_has_just_gone_is_not_converted_with(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    go_to(strip, 2)
    disk.moments[2] = Moment(20, ())
    with qtbot.assertNotEmitted(opened.convert_requested):
        tool(strip, "film_convert").click()
        qtbot.waitUntil(lambda: bool(strip.messages.texts))
    assert "step 20 has just been thinned away" in strip.messages.texts[0]


def test_a_branch_is_asked_for_with_run_and_step(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    go_to(strip, 0)
    with qtbot.waitSignal(opened.branch_requested) as asked:
        tool(strip, "film_branch").click()
    assert asked.args == [disk.folder, 0]


def test_a_pinned_moment_stays_beside_those_gone_to(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    go_to(strip, 1)
    tool(strip, "film_compare_button").click()
    qtbot.waitUntil(strip._compare.isVisible)
    go_to(strip, 3)
    qtbot.waitUntil(lambda: strip._compare.view.captions == ("Step 10", "Step 30"))
    before, after = strip._compare.view.before, strip._compare.view.after
    assert before is not None and after is not None
    assert (before.pixelColor(0, 0).red(), after.pixelColor(0, 0).red()) == (10, 30)
    tool(strip, "film_compare_button").click()
    assert shown(strip) == 30


def test_a_moment_pinned_before_it_was_read_is_read_all_the_same(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    disk.gate = threading.Event()
    go_to(strip, 0)
    go_to(strip, 1)
    tool(strip, "film_compare_button").click()
    go_to(strip, 3)
    disk.gate.set()
    qtbot.waitUntil(lambda: strip._compare.isVisible() and strip._compare.view.captions == ("Step 10", "Step 30"))


def test_moments_with_other_pictures_say_so(opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot) -> None:
    disk.sources[10] = "earlier"
    note = strip.findChild(QLabel, "samples_note")
    go_to(strip, 1)
    qtbot.waitUntil(lambda: shown(strip) == 10)
    assert note.text() == "At this step other pictures were shown than now: they have been changed since."
    go_to(strip, 2)
    qtbot.waitUntil(lambda: shown(strip) == 20)
    assert not note.isVisible()


def test_pictures_that_are_trained_on_are_said_to_be(opened: FilmController, strip: FilmStrip, disk: Disk) -> None:
    opened.take(drawn(disk, 50, held_out=False))
    note = strip.findChild(QLabel, "samples_note")
    assert "also trained on" in note.text()
    assert note.isVisible()
    opened.take(drawn(disk, 60, held_out=True))
    assert not note.isVisible()


def test_a_training_without_moments_keeps_those_it_tells(
    film: FilmController, strip: FilmStrip, tmp_path: Path
) -> None:
    for step in (1, 2):
        film.take(SamplesDrawn(step, samples_of(step), True, (tmp_path / f"{step}.png",)))
    assert [moment.step for moment in film.moments] == [1, 2]
    assert shown(strip) == 2


def test_what_the_disk_says_late_does_not_undo_what_the_training_has_told(
    film: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    film.set_run(disk.folder)
    film.take(SamplesDrawn(900, samples_of(90), True, (), (Moment(900, ()),)))
    qtbot.waitUntil(lambda: not film._asking.is_running)
    assert [moment.step for moment in film.moments] == [900]


def test_another_run_has_a_film_of_its_own(opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot) -> None:
    tool(strip, "film_compare_button").click()
    opened.set_run(None)
    assert opened.moments == ()
    assert strip._placeholder.isVisible()
    opened.take(SamplesDrawn(7, samples_of(7), True, ()))
    assert shown(strip) == 7


def test_a_run_without_samples_says_so(film: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot) -> None:
    disk.moments.clear()
    film.set_run(disk.folder)
    qtbot.waitUntil(lambda: "no samples yet" in strip._placeholder.text())


def test_at_rest_other_pictures_are_chosen_at_once(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    tool(strip, "film_pictures").click()
    qtbot.waitUntil(lambda: opened._dialog is not None)
    dialog = opened._dialog
    assert dialog is not None
    first = dialog._sides[0].list
    first.item(0).setSelected(False)
    first.item(5).setSelected(True)
    dialog.findChild(QPushButton, "use_pictures").click()
    qtbot.waitUntil(lambda: bool(disk.chosen))
    files = [disk.folder / f"{n}.png" for n in range(6)]
    assert disk.chosen == [((files[1], files[2], files[3], files[5]), tuple(files[:4]))]
    qtbot.waitUntil(lambda: any("from the next samples on" in text for text in strip.messages.texts))


def test_pictures_of_a_training_at_work_are_changed_by_whoever_stops_it(
    opened: FilmController, strip: FilmStrip, disk: Disk, qtbot: QtBot
) -> None:
    opened.set_training(True)
    tool(strip, "film_pictures").click()
    qtbot.waitUntil(lambda: opened._dialog is not None)
    assert opened._dialog is not None
    with qtbot.waitSignal(opened.samples_changed_requested) as asked:
        opened._dialog.findChild(QPushButton, "use_pictures").click()
    files = tuple(disk.folder / f"{n}.png" for n in range(4))
    assert asked.args == [disk.folder, files, files]
    assert disk.chosen == []
