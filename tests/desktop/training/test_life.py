"""The life of a training in the window: pauses, remedies, more epochs, and what comes after the end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QAction, QImage
from PySide6.QtWidgets import QApplication, QDialog, QFrame, QLabel, QPushButton, QSpinBox
from pytestqt.qtbot import QtBot

from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training.controller import TrainingController
from cyclegan_desktop.training.interrupted import Interrupted
from cyclegan_desktop.training.page import TrainingPage
from engine.config import TrainConfig
from engine.errors import OutOfMemoryError, PictureError
from engine.events import (
    Alarm,
    HealthChecked,
    Losses,
    RolledBack,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
)
from engine.remedies import Remedy

_SMALLER = Remedy("Recompute activations", (("recompute", True),), hint="Costs a third more time.")
_RESEED = Remedy("Begin again with another seed", (("seed", 7),), begins_anew=True)


class FakeEngine:
    """A training that goes on for as long as it is let."""

    def __init__(self, samples: SamplesDrawn, run: Path) -> None:
        self._samples, self._run = samples, run
        self.saved = 0
        self.steps = 1_000_000
        self.configs: list[TrainConfig] = []
        self.resumed: list[dict[str, object]] = []
        self.reports: list[TrainEvent] = []
        self.failure: Exception | None = None
        self.fails_at_once = False

    def train(self, config: TrainConfig) -> Iterator[TrainEvent]:
        self.configs.append(config)
        yield from self._work(0)

    def resume(self, run: Path, **others: object) -> Iterator[TrainEvent]:
        self.resumed.append(others)
        yield from self._work(self.saved)

    def _work(self, step: int) -> Iterator[TrainEvent]:
        if self.failure is not None and self.fails_at_once:
            raise self.failure
        yield TrainStarted(self._run, "Apples", "Oranges", step, self.steps, 10, 10, 5, 6, "CPU", "fp32", True)
        yield self._samples
        try:
            while step < self.steps:
                time.sleep(0.002)  # The window is to keep up with it.
                step += 1
                yield StepReport(step, self.steps, 1, 10, 1.0, 10.0, 5.0, 2e-4, Losses(*[1.0] * 8))
                while self.reports:
                    yield self.reports.pop(0)
                if self.failure is not None:
                    raise self.failure
        except GeneratorExit:
            self.saved = step
            raise
        self.saved = step
        yield Saved(step, self._run, self._run / "model.safetensors")
        yield TrainFinished(step, "complete", self._run / "model.safetensors", 12.0)


@pytest.fixture
def fake(make_samples: Callable[..., SamplesDrawn], make_run: Callable[..., Path], config: TrainConfig) -> FakeEngine:
    # The folder is that of a training with a model, so that all can be asked about it.
    config.run.parent.mkdir(parents=True)
    return FakeEngine(make_samples(), make_run(config.run, step=0))


@pytest.fixture
def page(qtbot: QtBot) -> Iterator[TrainingPage]:
    made = TrainingPage()
    made.resize(1000, 900)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()
    made.deleteLater()


@pytest.fixture
def controller(
    page: TrainingPage, settings: Settings, fake: FakeEngine, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TrainingController]:
    monkeypatch.setattr("cyclegan_desktop.training.wizard.TrainingWizard._look_for_devices", lambda _: None)
    made = TrainingController(page, settings, train=fake.train, resume=fake.resume)
    yield made
    made.stop()
    qtbot.waitUntil(lambda: not made.is_busy)


@pytest.fixture
def begun(controller: TrainingController, page: TrainingPage, config: TrainConfig, qtbot: QtBot) -> TrainingController:
    """A training that is at work."""
    controller.start(config)
    qtbot.waitUntil(lambda: _length(page) > 3)
    return controller


def _length(page: TrainingPage) -> int:
    return 0 if page._plot is None else len(page._plot.history)


def _main(page: TrainingPage) -> QPushButton:
    return page.findChild(QPushButton, "main_training_button")


def _status(page: TrainingPage) -> str:
    return page.findChild(QLabel, "training_status").text()


def _remedies(page: TrainingPage) -> list[QPushButton]:
    return [made for made in page.findChildren(QPushButton, "remedy") if made.isVisible()]


def _wizard(page: TrainingPage, monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """The settings that wizards are opened with from here on."""
    shown: list[TrainConfig] = []
    monkeypatch.setattr(
        "cyclegan_desktop.training.wizard.TrainingWizard.set_config", lambda _, config: shown.append(config)
    )
    return shown


def test_a_pause_that_frees_memory_saves_and_goes_on_from_there(
    begun: TrainingController, page: TrainingPage, fake: FakeEngine, qtbot: QtBot
) -> None:
    states: list[str] = []
    begun.state_changed.connect(states.append)
    with qtbot.waitSignal(begun.ended):
        page.findChild(QAction, "pause_and_free").trigger()
        assert _main(page).text() == "Pausing..."
        assert not _main(page).isEnabled()
    assert not begun.is_busy
    assert states == ["freeing", "idle", "freed"]
    assert "memory freed" in _status(page) and "stays loaded" in _status(page)
    shown, samples = _length(page), page.film._samples
    assert shown > 3 and samples
    _main(page).click()
    qtbot.waitUntil(lambda: _length(page) > shown + 3)
    assert fake.resumed == [{}]
    assert page._plot is not None
    assert page._plot.history.steps.tolist() == list(range(1, _length(page) + 1))
    assert page.film._samples


def test_what_is_fastest_is_measured_again_without_leaving_the_page(
    begun: TrainingController, page: TrainingPage, fake: FakeEngine, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(begun.ended):
        page.findChild(QAction, "measure_again").trigger()
    qtbot.waitUntil(lambda: fake.resumed == [{"measure_again": True}])
    assert page.film._samples


def test_a_pause_can_be_made_one_that_frees_memory(begun: TrainingController, page: TrainingPage, qtbot: QtBot) -> None:
    page.pause_requested.emit()
    with qtbot.waitSignal(begun.ended):
        page.findChild(QAction, "pause_and_free").trigger()
    assert "memory freed" in _status(page)
    page.continue_requested.emit()
    qtbot.waitUntil(lambda: begun.is_busy)


def test_another_training_may_begin_while_one_waits_without_memory(
    begun: TrainingController, page: TrainingPage, config: TrainConfig, fake: FakeEngine, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(begun.ended):
        page.free_requested.emit()
    begun.start(config)
    assert _main(page).text().replace("&", "") == "Stop training"
    qtbot.waitUntil(lambda: len(fake.configs) == 2)


def test_stopping_during_such_a_pause_s_end_only_stops(
    begun: TrainingController, page: TrainingPage, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(begun.ended):
        page.free_requested.emit()
        begun.stop()
    assert "can be resumed" in _status(page)
    assert _main(page).text().replace("&", "") == "Resume training"


def test_out_of_memory_offers_remedies_that_go_on_from_where_it_was(
    controller: TrainingController, page: TrainingPage, config: TrainConfig, fake: FakeEngine, qtbot: QtBot
) -> None:
    fake.failure = OutOfMemoryError("There is not enough memory.", remedies=(_SMALLER, Remedy("x", hint="Close it.")))
    with qtbot.waitSignal(controller.ended) as ended:
        controller.start(config)
    assert ended.args == ["failed"]
    shown = [label.text() for label in page.findChildren(QLabel) if label.isVisible()]
    assert {"There is not enough memory.", "Costs a third more time.", "Close it."} <= set(shown)
    (only,) = _remedies(page)
    assert only.text() == "Recompute activations"
    fake.failure = None
    only.click()
    qtbot.waitUntil(lambda: _length(page) > 3)
    assert fake.resumed == [{"changes": {"recompute": True}}]
    assert page.messages.texts == []


def test_out_of_memory_before_the_start_begins_with_the_remedy(
    controller: TrainingController, page: TrainingPage, config: TrainConfig, fake: FakeEngine, qtbot: QtBot
) -> None:
    fake.failure = OutOfMemoryError("Too large.", remedies=(Remedy("Crops of 32 px", (("size", 32),)),))
    fake.fails_at_once = True
    with qtbot.waitSignal(controller.ended):
        controller.start(config)
    fake.failure = None
    _remedies(page)[0].click()
    qtbot.waitUntil(lambda: _length(page) > 3)
    assert fake.configs == [config, dataclasses.replace(config, size=32)]


def test_a_remedy_that_fails_keeps_what_is_shown_and_offers_again(
    begun: TrainingController, page: TrainingPage, fake: FakeEngine, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(begun.ended):
        begun.stop()
    fake.failure, fake.fails_at_once = OutOfMemoryError("Still too large.", remedies=(_SMALLER,)), True
    for _ in range(2):
        with qtbot.waitSignal(begun.ended):
            page.remedy_chosen.emit(_SMALLER)
        assert _length(page) > 3
        assert len(_remedies(page)) == 1
        assert _main(page).text().replace("&", "") == "Resume training"
        assert _main(page).isEnabled()


def test_an_alarm_s_remedy_stops_and_goes_on_with_its_changes(
    begun: TrainingController, page: TrainingPage, fake: FakeEngine, qtbot: QtBot
) -> None:
    remedy = Remedy("Halve the discriminators' rate", (("discriminator_rate", 0.5),))
    fake.reports.append(HealthChecked(3, (Alarm("discriminator_won", "It has won.", "D is 0.01.", (remedy,)),)))
    qtbot.waitUntil(lambda: bool(_remedies(page)))
    with qtbot.waitSignal(begun.ended):
        _remedies(page)[0].click()
        assert not _remedies(page)[0].isEnabled()
    qtbot.waitUntil(lambda: begun.is_busy and len(fake.resumed) == 1)
    assert fake.resumed == [{"changes": {"discriminator_rate": 0.5}}]
    assert _remedies(page)


def test_a_remedy_that_begins_anew_opens_the_wizard_with_the_run_s_settings(
    begun: TrainingController, page: TrainingPage, config: TrainConfig, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _wizard(page, monkeypatch)
    with qtbot.waitSignal(begun.ended):
        page.remedy_chosen.emit(_RESEED)
    qtbot.waitUntil(lambda: bool(shown))
    (proposed,) = shown
    assert proposed.seed == 7
    assert proposed.run != config.run and not proposed.run.exists()
    assert (proposed.name_A, proposed.size) == ("Apples", 64)
    page.window().findChild(QDialog, "training_wizard").reject()


def test_going_back_cuts_the_curve_and_says_so(
    begun: TrainingController, page: TrainingPage, fake: FakeEngine, qtbot: QtBot
) -> None:
    fake.reports.append(RolledBack(4, 1, 0.5, "It went back to step 1 with half the rate."))
    qtbot.waitUntil(lambda: bool(page.messages.texts))
    assert page.messages.texts == ["It went back to step 1 with half the rate."]


def test_more_epochs_are_asked_for_and_trained(
    controller: TrainingController, page: TrainingPage, config: TrainConfig, fake: FakeEngine, qtbot: QtBot
) -> None:
    fake.steps = 5
    with qtbot.waitSignal(controller.ended):
        controller.start(config)
    more = page.findChild(QPushButton, "train_more_epochs")
    assert more.isVisible()
    more.click()
    dialog = page.window().findChild(QDialog, "more_epochs_dialog")
    number = dialog.findChild(QSpinBox, "more_epochs")
    assert number.value() == 10  # Half of those that it had.
    assert dialog.findChild(QLabel, "more_epochs_time").text() == "about 1 s"
    number.setValue(3)
    fake.steps = 1_000_000
    dialog.findChild(QPushButton, "train_on").click()
    qtbot.waitUntil(lambda: _length(page) > 8)
    assert fake.resumed == [{"more_epochs": 3}]
    QApplication.processEvents()
    assert not more.isVisible()


def test_an_interrupted_training_is_offered_until_one_goes_on(
    controller: TrainingController, page: TrainingPage, config: TrainConfig, fake: FakeEngine, qtbot: QtBot
) -> None:
    counts: list[int] = []
    controller.interrupted_changed.connect(counts.append)
    for run, name in ((config.run, "Apples"), (config.run.parent / "other", "Others")):
        controller._take_interrupted(Interrupted(run, name, 12, None))
    offer = page.findChild(QFrame, "interrupted_offer")
    assert offer.isVisible()
    page.findChildren(QPushButton, "resume_interrupted")[0].click()
    assert not offer.isVisible()
    qtbot.waitUntil(lambda: _length(page) > 3)
    with qtbot.waitSignal(controller.ended):
        controller.stop()
    assert offer.isVisible()
    page.findChild(QPushButton, "not_now").click()
    assert not offer.isVisible()
    assert counts == [1, 2, 1, 0]


def test_the_end_is_told_to_someone_who_is_elsewhere(
    controller: TrainingController,
    page: TrainingPage,
    config: TrainConfig,
    fake: FakeEngine,
    settings: Settings,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    beeps: list[bool] = []
    monkeypatch.setattr("cyclegan_desktop.notification.QApplication.alert", lambda _: told.append("alert"))
    monkeypatch.setattr("cyclegan_desktop.notification.QApplication.beep", lambda: beeps.append(True))
    monkeypatch.setattr(TrainingPage, "isActiveWindow", lambda _: False)
    fake.steps = 3
    for sound in (False, True):
        settings.sound_when_done = sound
        with qtbot.waitSignal(controller.ended):
            controller.start(config)
    assert (len(told), len(beeps)) == (2, 1)
    fake.steps = 1_000_000
    controller.start(config)
    qtbot.waitUntil(lambda: _length(page) > 3)
    with qtbot.waitSignal(controller.ended):
        controller.stop()
    assert len(told) == 2


def _moment(run: Path, step: int) -> None:
    (run / "moments").mkdir(exist_ok=True)
    (run / "moments" / f"step_{step:08d}.safetensors").write_bytes(b"model")
    for direction in ("a2b", "b2a"):
        QImage(8, 8, QImage.Format.Format_RGB32).save(str(run / "samples" / f"step_{step:08d}_{direction}.png"))


def test_a_branch_opens_the_wizard_to_begin_with_a_moment_s_networks(
    begun: TrainingController, page: TrainingPage, config: TrainConfig, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _wizard(page, monkeypatch)
    _moment(config.run, 5)
    with qtbot.waitSignal(begun.ended):
        begun.film.branch_requested.emit(config.run, 5)
    qtbot.waitUntil(lambda: bool(shown))
    assert shown[0].start_from == config.run / "moments" / "step_00000005.safetensors"
    assert not shown[0].run.exists()
    page.window().findChild(QDialog, "training_wizard").reject()


def test_a_moment_without_networks_is_explained(
    controller: TrainingController, page: TrainingPage, config: TrainConfig
) -> None:
    controller.branch(config.run, 7)
    assert "step 7" in page.messages.texts[0]
    assert page.window().findChild(QDialog, "training_wizard") is None


@pytest.mark.parametrize("problem", ["", "x.png cannot be read."])
def test_other_samples_are_chosen_between_two_steps(
    begun: TrainingController,
    page: TrainingPage,
    config: TrainConfig,
    fake: FakeEngine,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
) -> None:
    chosen: list[object] = []

    def choose(*values: object) -> None:
        chosen.append(values)
        if problem:
            raise PictureError(problem)

    monkeypatch.setattr("cyclegan_desktop.training.controller.choose_samples", choose)
    begun.film.samples_changed_requested.emit(config.run, (Path("a.png"),), ())
    qtbot.waitUntil(lambda: len(fake.resumed) == 1)
    assert chosen == [(config.run, (Path("a.png"),), ())]
    shown = _length(page)
    qtbot.waitUntil(lambda: _length(page) > shown)
    assert page.messages.texts == ([problem] if problem else [])
