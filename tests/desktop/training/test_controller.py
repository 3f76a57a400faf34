from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication, QDialog, QLabel, QMessageBox, QPushButton, QSlider
from pytestqt.qtbot import QtBot

from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training.controller import TrainingController
from cyclegan_desktop.training.page import TrainingPage
from cyclegan_desktop.training.threads import ThreadKeeper
from engine.config import TrainConfig
from engine.errors import DataError, OutOfMemoryError
from engine.events import (
    Estimated,
    EstimateEvent,
    Losses,
    Moment,
    Notice,
    Preparing,
    QualityMeasured,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
)
from engine.training.quality import append_quality


class FakeEngine:
    """A training of which every step waits for the test, unless `runs_freely`."""

    def __init__(self, samples: SamplesDrawn) -> None:
        self.samples = samples
        self.steps = 100
        self.runs_freely = True
        self.go = threading.Semaphore(0)
        self.saved_at: list[int] = []
        self.failure: Exception | None = None
        self.fails_before_start = False
        self.prepares_for_ever = False
        self.started: list[tuple[str, int]] = []

    def train(self, config: TrainConfig) -> Iterator[TrainEvent]:
        yield from self._work(config.run, 0)

    def resume(self, run: Path) -> Iterator[TrainEvent]:
        yield from self._work(run, self.saved_at[-1] if self.saved_at else 0)

    def _work(self, run: Path, step: int) -> Iterator[TrainEvent]:
        self.started.append((run.name, step))
        yield Preparing("Looking for pictures")
        while self.prepares_for_ever:
            time.sleep(0.01)
            yield Preparing("Reading", 1, 2)
        if self.failure is not None and self.fails_before_start:
            raise self.failure
        run.mkdir(parents=True, exist_ok=True)
        yield TrainStarted(run, "Apples", "Oranges", step, self.steps, 10, 10, 5, 6, "CPU", "fp32")
        try:
            yield self.samples
            yield Notice("picture_7.png is damaged; it is left out.")
            while step < self.steps:
                if not self.runs_freely:
                    self.go.acquire(timeout=60)
                time.sleep(0.001)
                step += 1
                losses = Losses(*[1.0] * 8)
                yield StepReport(step, self.steps, step // 10 + 1, 10, 1.0, 10.0, 5.0, 2e-4, losses)
                if self.failure is not None and step == 3:
                    raise self.failure
        except GeneratorExit:
            self._save(run, step)
            raise
        self._save(run, step)
        yield Saved(step, run, run / "model.safetensors")
        yield TrainFinished(step, "complete", run / "model.safetensors", 12.0)

    def _save(self, run: Path, step: int) -> None:
        self.saved_at.append(step)
        (run / "model.safetensors").write_bytes(b"model")
        rows = "".join(f"{number},1,0.1,0.0002,{','.join(['1'] * 8)}\n" for number in range(1, step + 1))
        header = "step,epoch,seconds,lr,G_AB,G_BA,D_A,D_B,cycle_A,cycle_B,idt_A,idt_B\n"
        (run / "losses.csv").write_text(header + rows, encoding="ascii")


def fake_estimate(config: TrainConfig) -> Iterator[EstimateEvent]:
    yield Estimated(0.1, 100, 10.0, "CPU", "fp32")


@pytest.fixture
def fake(make_samples: Callable[..., SamplesDrawn]) -> FakeEngine:
    return FakeEngine(make_samples())


@pytest.fixture
def page(qtbot: QtBot) -> Iterator[TrainingPage]:
    made = TrainingPage()
    made.show()
    qtbot.waitExposed(made)
    yield made
    # Only now that its controller has ended; pytest-qt would destroy it before that.
    made.close()
    made.deleteLater()


@pytest.fixture
def controller(page: TrainingPage, settings: Settings, fake: FakeEngine, qtbot: QtBot) -> Iterator[TrainingController]:
    made = TrainingController(page, settings, train=fake.train, resume=fake.resume, estimate=fake_estimate)
    yield made
    made.stop()
    qtbot.waitUntil(lambda: not made.is_busy)
    made.close()
    made.film.close()  # Else it tells a page that is gone what it has read.
    for keeper in made.findChildren(ThreadKeeper):
        keeper.stop_all()  # As when the app quits: what a wizard has dropped may still be on its way to its end.


def _main(page: TrainingPage) -> QPushButton:
    return page.findChild(QPushButton, "main_training_button")


def _words(page: TrainingPage) -> str:
    return _main(page).text().replace("&", "")


def _status(page: TrainingPage) -> str:
    return page.findChild(QLabel, "training_status").text()


def _steps(page: TrainingPage) -> list[int]:
    assert page._plot is not None
    return page._plot.history.steps.tolist()


def test_a_training_runs_to_its_end(
    controller: TrainingController, page: TrainingPage, fake: FakeEngine, config: TrainConfig, qtbot: QtBot
) -> None:
    events: list[object] = []
    controller.event.connect(events.append)
    busy: list[bool] = []
    controller.busy_changed.connect(busy.append)
    with qtbot.waitSignal(controller.ended) as ended:
        controller.start(config)
        assert controller.is_busy
        assert _words(page) == "Stop training"
    assert ended.args == ["done"]
    assert busy == [True, False]
    assert [type(event) for event in events[:4]] == [Preparing, TrainStarted, SamplesDrawn, Notice]
    assert type(events[-1]) is TrainFinished
    assert _steps(page) == list(range(1, 101))
    assert page.film._samples == fake.samples.samples
    assert page.messages.texts == ["picture_7.png is damaged; it is left out."]
    assert "Finished after 100 steps" in _status(page)
    assert _words(page) == "Start training..."
    assert page.findChild(QPushButton, "convert_with_model").isVisible()


def test_start_stop_and_start_again(
    controller: TrainingController,
    page: TrainingPage,
    fake: FakeEngine,
    config: TrainConfig,
    settings: Settings,
    qtbot: QtBot,
) -> None:
    fake.runs_freely = False
    for number in range(3):
        controller.start(config)
        fake.go.release(5)
        qtbot.waitUntil(lambda: page._plot is not None and len(page._plot.history) == 5)
        with qtbot.waitSignal(controller.ended) as ended:
            _main(page).click()
            assert _words(page) == "Stopping..."
            assert not _main(page).isEnabled()
            fake.go.release()
        assert ended.args == ["stopped"]
        assert len(fake.saved_at) == number + 1
        assert _words(page) == "Resume training"
        assert _main(page).isEnabled()
        assert f"saved at step {fake.saved_at[-1]}" in _status(page)
        while fake.go.acquire(blocking=False):
            pass
    assert settings.library == [config.run]


def test_the_plots_of_a_training_that_goes_on_show_what_is_behind_it(
    controller: TrainingController,
    page: TrainingPage,
    fake: FakeEngine,
    make_run: Callable[..., Path],
    make_quality: Callable[..., QualityMeasured],
    settings: Settings,
    qtbot: QtBot,
) -> None:
    run = make_run(settings.runs_folder / "run")
    (run / "marks.csv").write_text(
        "step,kind,text\n0,begun,\n3,changed,Batch size 2 instead of 4.\ndamaged\n5,saved,\n", encoding="utf-8"
    )
    append_quality(run, make_quality(4, 20.0))
    fake.saved_at = [5]
    fake.samples = dataclasses.replace(fake.samples, moments=(Moment(5, (), is_starred=True), Moment(6, ())))
    with qtbot.waitSignal(controller.ended):
        controller.resume(run)
    assert page._plots is not None
    for plot in (page._plots.losses, page._plots.quality):
        assert [plot._marks.count([kind]) for kind in ("begun", "changed", "starred")] == [1, 1, 1]
        assert plot._marks.count(["saved"]) == 2  # The one that is written down, and the end.
    assert page._plots.tabText(1) == "Quality 20.5 (start 25.5)"


def test_resuming_goes_on_with_the_curve(
    controller: TrainingController, page: TrainingPage, fake: FakeEngine, config: TrainConfig, qtbot: QtBot
) -> None:
    fake.runs_freely = False
    controller.start(config)
    fake.go.release(5)
    qtbot.waitUntil(lambda: page._plot is not None and len(page._plot.history) == 5)
    with qtbot.waitSignal(controller.ended):
        controller.stop()
        fake.go.release()
    saved = fake.saved_at[-1]
    fake.runs_freely = True
    with qtbot.waitSignal(controller.ended):
        _main(page).click()
    assert fake.started[-1] == ("run", saved)
    assert _steps(page) == list(range(1, 101))


def test_rows_past_the_checkpoint_are_not_shown_twice(
    controller: TrainingController, page: TrainingPage, fake: FakeEngine, config: TrainConfig, qtbot: QtBot
) -> None:
    config.run.mkdir(parents=True)
    fake._save(config.run, 50)
    fake.saved_at.append(20)
    with qtbot.waitSignal(controller.ended):
        controller.resume(config.run)
    assert _steps(page) == list(range(1, 101))


def test_stop_works_while_preparing(
    controller: TrainingController, page: TrainingPage, fake: FakeEngine, config: TrainConfig, qtbot: QtBot
) -> None:
    fake.prepares_for_ever = True
    with qtbot.waitSignal(controller.event):
        controller.start(config)
    with qtbot.waitSignal(controller.ended) as ended:
        controller.stop()
    assert ended.args == ["stopped"]
    assert fake.saved_at == []
    assert "stopped before its first step" in page.messages.texts[0]
    assert page.findChild(QPushButton, "empty_state_action").isVisible()
    fake.prepares_for_ever = False
    with qtbot.waitSignal(controller.ended) as ended:
        controller.start(config)
    assert ended.args == ["done"]


def test_pause_holds_the_training_until_it_is_continued(
    controller: TrainingController, page: TrainingPage, fake: FakeEngine, config: TrainConfig, qtbot: QtBot
) -> None:
    fake.steps = 100_000
    controller.start(config)
    qtbot.waitUntil(lambda: page._plot is not None and len(page._plot.history) > 5)
    pause = page.findChild(QPushButton, "pause_training")
    key = pause.shortcut()
    pause.click()
    assert pause.text().replace("&", "") == "Continue"
    assert pause.shortcut() == key
    qtbot.wait(50)
    # The step under way may end late.
    held = len(page._plot.history) + 1
    qtbot.wait(50)
    assert len(page._plot.history) <= held
    pause.click()
    qtbot.waitUntil(lambda: len(page._plot.history) > held)
    with qtbot.waitSignal(controller.ended):
        pause.click()
        controller.stop()
    assert len(fake.saved_at) == 1


def test_the_wizard_begins_with_the_model_to_be_fine_tuned(
    controller: TrainingController, page: TrainingPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyclegan_desktop.training.wizard.TrainingWizard._look_for_devices", lambda _: None)
    begun: list[Path] = []
    monkeypatch.setattr(
        "cyclegan_desktop.training.wizard.TrainingWizard.set_start_from", lambda _, model: begun.append(model)
    )
    controller.new_training(start_from=tmp_path / "model.safetensors")
    assert begun == [tmp_path / "model.safetensors"]
    page.window().findChild(QDialog, "training_wizard").reject()


def test_the_wizard_begins_with_the_settings_of_another_training_in_a_folder_of_its_own(
    controller: TrainingController,
    page: TrainingPage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_run: Callable[..., Path],
) -> None:
    monkeypatch.setattr("cyclegan_desktop.training.wizard.TrainingWizard._look_for_devices", lambda _: None)
    shown: list[TrainConfig] = []
    monkeypatch.setattr(
        "cyclegan_desktop.training.wizard.TrainingWizard.set_config", lambda _, config: shown.append(config)
    )
    run = make_run(tmp_path / "run", max_steps=8)
    controller.new_alike(run, {"seed": 5})
    (config,) = shown
    assert (config.name_A, config.epochs, config.seed, config.max_steps) == ("Apples", 10, 5, None)
    assert not config.run.exists()
    page.window().findChild(QDialog, "training_wizard").reject()
    controller.new_alike(tmp_path / "gone")
    assert "holds no training" in page.messages.texts[-1]
    assert len(shown) == 1


def test_fine_tuning_shows_no_settings_of_another_training_that_did_not_begin(
    controller: TrainingController,
    page: TrainingPage,
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_model: Callable[..., Path],
    fake: FakeEngine,
    qtbot: QtBot,
) -> None:
    monkeypatch.setattr("cyclegan_desktop.training.wizard.TrainingWizard._look_for_devices", lambda _: None)
    shown: list[TrainConfig] = []
    monkeypatch.setattr(
        "cyclegan_desktop.training.wizard.TrainingWizard.set_config", lambda _, config: shown.append(config)
    )
    model = make_model(tmp_path / "model.safetensors")
    own = dataclasses.replace(config, start_from=model)
    for unstarted, start_from in ((config, None), (config, model), (own, model), (own, tmp_path / "other")):
        fake.failure, fake.fails_before_start = DataError("The folder has gone. Bring it back."), True
        with qtbot.waitSignal(controller.ended):
            controller.start(unstarted)
        controller.new_training(start_from=start_from)
        page.window().findChild(QDialog, "training_wizard").reject()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert shown == [config, own]


@pytest.mark.parametrize("fails_before_start", [True, False])
@pytest.mark.parametrize(
    ("failure", "has_details"),
    [
        (DataError("The folder has gone. Bring it back.", field="folder_A"), False),
        (OutOfMemoryError("There is not enough memory. Choose a smaller size."), False),
        (RuntimeError("boom"), True),
    ],
)
def test_a_failure_is_told_and_leaves_the_page_usable(
    controller: TrainingController,
    page: TrainingPage,
    fake: FakeEngine,
    config: TrainConfig,
    qtbot: QtBot,
    failure: Exception,
    has_details: bool,
    fails_before_start: bool,
) -> None:
    fake.failure, fake.fails_before_start = failure, fails_before_start
    with qtbot.waitSignal(controller.ended) as ended:
        controller.start(config)
    assert ended.args == ["failed"]
    assert any(str(failure) in text for text in page.messages.texts)
    assert (page.findChild(QPushButton, "copy_details") is not None) == has_details
    action = page.findChild(QPushButton, "empty_state_action") if fails_before_start else _main(page)
    assert action.isVisible()
    assert action.isEnabled()
    fake.failure = None
    with qtbot.waitSignal(controller.ended) as ended:
        controller.start(config)
    assert ended.args == ["done"]
    assert not any(str(failure) in text for text in page.messages.texts)


def test_nothing_is_modal_in_normal_running(
    controller: TrainingController, page: TrainingPage, fake: FakeEngine, config: TrainConfig, qtbot: QtBot
) -> None:
    fake.failure = RuntimeError("boom")
    with qtbot.waitSignal(controller.ended):
        controller.start(config)
    assert page.window().findChildren(QMessageBox) == []
    assert page.window().findChildren(QDialog) == []


def test_only_one_training_runs_at_a_time(
    controller: TrainingController, page: TrainingPage, fake: FakeEngine, config: TrainConfig, qtbot: QtBot
) -> None:
    fake.runs_freely = False
    controller.start(config)
    controller.start(config)
    controller.resume(config.run)
    controller.new_training()
    assert page.window().findChildren(QDialog) == []
    assert any("under way" in text for text in page.messages.texts)
    with qtbot.waitSignal(controller.ended):
        controller.stop()
        fake.go.release(3)
    assert len(fake.started) == 1


def test_the_run_is_remembered_and_announced(
    controller: TrainingController, settings: Settings, config: TrainConfig, qtbot: QtBot
) -> None:
    runs: list[Path] = []
    controller.run_changed.connect(runs.append)
    with qtbot.waitSignal(controller.ended):
        controller.start(config)
    assert settings.library == [config.run]
    assert set(runs) == {config.run}
    assert Settings.load(settings.path).library == [config.run]


def test_converting_with_the_model_names_its_file(
    controller: TrainingController, page: TrainingPage, config: TrainConfig, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(controller.ended):
        controller.start(config)
    with qtbot.waitSignal(controller.convert_requested) as asked:
        page.findChild(QPushButton, "convert_with_model").click()
    assert asked.args == [config.run / "model.safetensors"]


def test_resuming_what_is_no_run_is_a_message(
    page: TrainingPage, settings: Settings, tmp_path: Path, qtbot: QtBot
) -> None:
    def resume(run: Path) -> Iterator[TrainEvent]:
        raise DataError(f"{run} holds no training.")
        yield

    controller = TrainingController(page, settings, resume=resume)
    with qtbot.waitSignal(controller.ended) as ended:
        controller.resume(tmp_path / "nothing")
    assert ended.args == ["failed"]
    shown = [label.text() for label in page.findChildren(QLabel) if label.isVisible()]
    for text in ("nothing", "This training could not go on", f"{tmp_path / 'nothing'} holds no training."):
        assert text in shown


@pytest.mark.parametrize("failure", [DataError("The folder has gone. Bring it back."), RuntimeError("boom")])
def test_a_training_that_cannot_go_on_shows_its_names_and_why(
    controller: TrainingController,
    page: TrainingPage,
    fake: FakeEngine,
    make_run: Callable[..., Path],
    tmp_path: Path,
    qtbot: QtBot,
    failure: Exception,
) -> None:
    run = make_run(tmp_path / "run of last week")
    fake.failure, fake.fails_before_start = failure, True
    with qtbot.waitSignal(controller.ended):
        controller.resume(run)
    shown = [label.text() for label in page.findChildren(QLabel) if label.isVisible()]
    assert "Apples and Oranges" in shown and "This training could not go on" in shown
    assert any(str(failure) in text for text in shown)
    assert not any("as soon as the training has begun" in text for text in shown)
    assert (page.findChild(QPushButton, "copy_details") is not None) == isinstance(failure, RuntimeError)
    fake.failure = None
    with qtbot.waitSignal(controller.ended) as ended:
        _main(page).click()
    assert ended.args == ["done"]
    assert page.findChild(QLabel, "training_status").isVisible()


def _wait_until_opened(page: TrainingPage, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: "Reading" not in _status(page))


def test_a_training_at_rest_is_shown_without_going_on(
    controller: TrainingController,
    page: TrainingPage,
    fake: FakeEngine,
    make_run: Callable[..., Path],
    make_quality: Callable[..., QualityMeasured],
    settings: Settings,
    qtbot: QtBot,
) -> None:
    run = make_run(settings.runs_folder / "run")
    (run / "marks.csv").write_text("step,kind,text\n0,begun,\n5,saved,\n", encoding="utf-8")
    append_quality(run, make_quality(4, 20.0))
    controller.show_run(run)
    _wait_until_opened(page, qtbot)
    assert not controller.is_busy
    assert fake.started == []
    assert page.title == "Apples and Oranges"
    assert controller.film.run == run
    assert _steps(page) == [5]
    assert page._plots is not None
    assert [page._plots.losses._marks.count([kind]) for kind in ("begun", "saved")] == [1, 1]
    assert page._plots.tabText(1) == "Quality 20.5 (start 25.5)"
    assert "At step 5 of 20" in _status(page)
    assert page.findChild(QLabel, "health_words").text() == "Health: looked at while it trains"
    for name in ("convert_with_model", "train_more_epochs", "open_run_folder", "new_training"):
        assert page.findChild(QPushButton, name).isVisible()
    assert _words(page) == "Resume training"
    with qtbot.waitSignal(controller.ended):
        _main(page).click()
    assert fake.started == [("run", 0)]


def test_a_training_with_damaged_losses_says_so_where_its_curves_are_looked_for(
    controller: TrainingController,
    page: TrainingPage,
    make_run: Callable[..., Path],
    settings: Settings,
    qtbot: QtBot,
) -> None:
    run = make_run(settings.runs_folder / "run")
    (run / "losses.csv").write_text("\0" * 100, encoding="ascii")
    controller.show_run(run)
    _wait_until_opened(page, qtbot)
    assert any("losses.csv is damaged" in text for text in page.messages.texts)


def test_a_complete_training_is_shown_as_such(
    controller: TrainingController,
    page: TrainingPage,
    make_run: Callable[..., Path],
    settings: Settings,
    qtbot: QtBot,
) -> None:
    controller.show_run(make_run(settings.runs_folder / "run", step=20))
    _wait_until_opened(page, qtbot)
    assert "Complete: 20 steps" in _status(page)
    assert _words(page) == "Start training..."


def test_the_training_opened_last_is_shown(
    controller: TrainingController, page: TrainingPage, make_run: Callable[..., Path], settings: Settings, qtbot: QtBot
) -> None:
    first, second = (make_run(settings.runs_folder / name, step=step) for name, step in (("one", 3), ("two", 7)))
    for run in (first, second, first, second):
        controller.show_run(run)
    _wait_until_opened(page, qtbot)
    assert _steps(page) == [7]
    assert controller.film.run == second


def test_a_training_begun_while_another_is_read_is_the_one_shown(
    controller: TrainingController,
    page: TrainingPage,
    config: TrainConfig,
    make_run: Callable[..., Path],
    settings: Settings,
    qtbot: QtBot,
) -> None:
    controller.show_run(make_run(settings.runs_folder / "earlier"))
    with qtbot.waitSignal(controller.ended):
        controller.start(config)
    assert _steps(page) == list(range(1, 101))
    assert controller.film.run == config.run


def test_while_one_trains_no_other_is_opened(
    controller: TrainingController,
    page: TrainingPage,
    fake: FakeEngine,
    config: TrainConfig,
    make_run: Callable[..., Path],
    settings: Settings,
    qtbot: QtBot,
) -> None:
    fake.runs_freely = False
    controller.start(config)
    fake.go.release(5)
    qtbot.waitUntil(lambda: page._plot is not None and len(page._plot.history) == 5)
    controller.show_run(config.run)
    before = list(page.messages.texts)
    controller.show_run(make_run(settings.runs_folder / "other"))
    assert page.messages.texts == [*before, "A training is under way. Stop it first; it can be resumed later."]
    assert controller.film.run == config.run
    with qtbot.waitSignal(controller.ended):
        controller.stop()
        fake.go.release()


def test_what_is_no_training_is_not_opened(
    controller: TrainingController, page: TrainingPage, tmp_path: Path, qtbot: QtBot
) -> None:
    controller.show_run(tmp_path / "gone")
    qtbot.waitUntil(lambda: bool(page.messages.texts))
    assert "gone" in page.messages.texts[0]
    assert page.findChild(QPushButton, "empty_state_action").isVisible()


def test_the_options_of_the_plot_are_remembered(
    page: TrainingPage, settings: Settings, fake: FakeEngine, config: TrainConfig, qtbot: QtBot
) -> None:
    settings.plot_smoothing, settings.plot_log_scale = 0.5, True
    parent = QObject()
    controller = TrainingController(page, settings, train=fake.train, parent=parent)
    with qtbot.waitSignal(controller.ended):
        controller.start(config)
    assert page._plot is not None
    slider = page._plot.findChild(QSlider, "smoothing")
    assert slider.value() == 500
    slider.setValue(700)
    qtbot.waitUntil(lambda: Settings.load(settings.path).plot_smoothing == 0.7)
    assert Settings.load(settings.path).plot_log_scale is True


def test_the_wizard_starts_a_training_once_the_measuring_has_ended(
    page: TrainingPage,
    settings: Settings,
    fake: FakeEngine,
    tmp_path: Path,
    make_pictures: Callable[[Path, int], Path],
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cyclegan_desktop.training.wizard.TrainingWizard._look_for_devices", lambda _: None)
    measuring, gate = threading.Event(), threading.Event()
    at_work: list[str] = []

    def estimate(config: TrainConfig) -> Iterator[EstimateEvent]:
        at_work.append("measuring")
        measuring.set()
        gate.wait(60)
        at_work.append("measured")
        yield Preparing("Measuring a few steps", 1, 20)

    def train(config: TrainConfig) -> Iterator[TrainEvent]:
        at_work.append("training")
        yield from fake.train(config)

    controller = TrainingController(page, settings, train=train, estimate=estimate)
    for name in ("apples", "oranges"):
        make_pictures(tmp_path / name, 3)
    controller.new_training([tmp_path / "apples", tmp_path / "oranges"])
    wizard = page.window().findChild(QDialog, "training_wizard")
    assert wizard.isVisible()
    assert wizard.isModal()
    proceed = wizard.findChild(QPushButton, "wizard_next")
    for _ in range(3):
        qtbot.waitUntil(proceed.isEnabled)
        proceed.click()
    qtbot.waitUntil(measuring.is_set)
    with qtbot.waitSignal(controller.ended):
        proceed.click()
        assert not wizard.isVisible()
        qtbot.waitUntil(lambda: "Finishing the measurement" in _status(page))
        gate.set()
    assert at_work == ["measuring", "measured", "training"]
    assert settings.recent_folders == [tmp_path / "apples", tmp_path / "oranges"]
    assert page._title.text() == "Apples and Oranges"
    controller.new_training()
    second = page.window().findChildren(QDialog, "training_wizard")[-1]
    second.reject()


def test_what_could_not_start_comes_back_to_be_corrected(
    controller: TrainingController,
    page: TrainingPage,
    fake: FakeEngine,
    config: TrainConfig,
    make_pictures: Callable[[Path, int], Path],
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cyclegan_desktop.training.wizard.TrainingWizard._look_for_devices", lambda _: None)
    make_pictures(config.folder_A, 3)
    make_pictures(config.folder_B, 3)
    fake.failure, fake.fails_before_start = OutOfMemoryError("Not enough memory."), True
    with qtbot.waitSignal(controller.ended):
        controller.start(config)
    page.findChild(QPushButton, "empty_state_action").click()
    wizard = page.window().findChild(QDialog, "training_wizard")
    proceed = wizard.findChild(QPushButton, "wizard_next")
    for _ in range(3):
        qtbot.waitUntil(proceed.isEnabled)
        proceed.click()
    fake.failure = None
    with qtbot.waitSignal(controller.ended) as ended:
        proceed.click()
    assert ended.args == ["done"]
    assert (config.run / "model.safetensors").is_file()
