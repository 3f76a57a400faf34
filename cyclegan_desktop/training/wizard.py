"""The training wizard: two folders, what the doctor found in them, a few settings, and a measured time."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import assert_never

from PySide6.QtCore import QSize, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QDialog, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from cyclegan_desktop.drops import accept_copy, local_paths
from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.free_names import free_path
from cyclegan_desktop.library.model_words import pair_words
from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.style import XL, L, M, S
from cyclegan_desktop.training.doctor_page import DoctorPage, FindingThumbnail, load_thumbnails
from cyclegan_desktop.training.domain_panel import DomainPanel
from cyclegan_desktop.training.folder_look import check_folders, suggest_names
from cyclegan_desktop.training.settings_page import SettingsPage
from cyclegan_desktop.training.summary_page import SummaryPage
from cyclegan_desktop.training.threads import LatestWork, ThreadKeeper
from cyclegan_desktop.widgets import ElidedLabel, button, plain_label
from engine.config import TrainConfig, preset_config
from engine.conversion.model_file import ModelInfo
from engine.data.doctor import Memory, examine
from engine.data.folders import Domains
from engine.errors import ConfigError
from engine.events import CheckEvent, Estimated, EstimateEvent, Examined, Finding, Notice, Preparing, TooLarge
from engine.remedies import Remedy

_PICTURES, _DOCTOR, _SETTINGS, _SUMMARY = range(4)
_FOLDER_FIELDS = ("folder_A", "folder_B")
_NAME_FIELDS = ("name_A", "name_B")
_LEFT_OUT = "left_out"
_LONG_SECONDS = 2 * 86400.0
_QUICK_BESIDE_SECONDS = 3600.0
_TYPING_MILLISECONDS = 300
_DEVICES_AFTER_MILLISECONDS = 300
_SIZE = (880, 580)
_SIZE_FOR_OPTIONS = (960, 720)
_FRAME = 40
"""Pixels that the window's frame takes at most."""

Devices = list[tuple[str, str]]


def available_devices() -> Iterator[Devices]:
    """The devices of this machine as work for a thread, since it loads torch."""
    from engine import device

    yield device.available_devices()


class TrainingWizard(QDialog):
    """Asks for everything that a training needs, and lets nothing start that cannot work.

    Folders are looked at, checked and measured in threads; what is shown is always about the latest choice.

    Signals:
        start_requested: The user wants this training: `TrainConfig`. The wizard closes.
    """

    start_requested = Signal(object)

    def __init__(
        self,
        settings: Settings,
        *,
        estimate: Callable[[TrainConfig], Iterator[EstimateEvent]],
        estimates: ThreadKeeper,
        scans: ThreadKeeper,
        list_devices: Callable[[], Iterator[Devices]] = available_devices,
        examine: Callable[..., Iterator[CheckEvent]] = examine,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("training_wizard")
        self.setAcceptDrops(True)
        self._settings = settings
        self._estimate = estimate
        self._list_devices = list_devices
        self._examine = examine
        self._is_run_own = False
        self._model: ModelInfo | None = None
        # What the last check of both folders and the run said, and of which folders and run.
        self._checked: tuple[Path, Path, Path] | None = None
        self._check_failure: Failure | None = None
        self._size_before: QSize | None = None
        self._size_of_options = QSize(*_SIZE)

        self._check = LatestWork(scans, self)
        self._check.done.connect(self._take_check)
        self._check.failed.connect(self._take_check_failure)
        self._devices = LatestWork(scans, self)
        self._devices.reported.connect(self._take_devices)
        # What the doctor has seen, of which pictures with which settings, and how much the user has read of it.
        self._memory = Memory()
        self._examined: tuple[object, ...] | None = None
        self._findings: list[Finding] = []
        self._read_warnings = 0
        self._examination = LatestWork(scans, self)
        self._examination.reported.connect(self._take_examination)
        self._examination.failed.connect(self._take_examination_failure)
        self._thumbnails = LatestWork(scans, self)
        self._thumbnails.reported.connect(self._take_thumbnail)
        self._examine_soon = QTimer(self, singleShot=True, interval=_TYPING_MILLISECONDS)
        self._examine_soon.timeout.connect(self._start_examination)
        self._measurement = LatestWork(estimates, self)
        self._measurement.reported.connect(self._take_measurement)
        self._measurement.failed.connect(self._take_measurement_failure)
        self._quick_measurement = LatestWork(estimates, self)
        self._quick_measurement.reported.connect(self._take_quick)
        # While somebody types a path, not every letter is worth a look at the disk.
        self._check_soon = QTimer(self, singleShot=True, interval=_TYPING_MILLISECONDS)
        self._check_soon.timeout.connect(self._check_typed)

        self._sides = (
            DomainPanel("A", self.tr("First folder"), settings.recent_folders, scans),
            DomainPanel("B", self.tr("Second folder"), settings.recent_folders, scans),
        )
        # From the outside in: a widget that gets its parent late is dressed again with all that is in it.
        self._pages = QStackedWidget(self)
        pictures = QWidget(self._pages)
        self._begins_with = plain_label(role="muted", wrap=True)
        self._begins_with.setObjectName("begins_with")
        wells = QHBoxLayout()
        wells.setSpacing(L)
        first_page = QVBoxLayout(pictures)
        first_page.setContentsMargins(0, 0, 0, 0)
        first_page.setSpacing(M)
        first_page.addWidget(self._begins_with)
        first_page.addLayout(wells, 1)
        self._doctor_line = ElidedLabel(role="muted")
        self._doctor_line.setObjectName("doctor_line")
        first_page.addWidget(self._doctor_line)
        for side in self._sides:
            wells.addWidget(side, 1)
            side.folder_changed.connect(self._take_folder)
            side.looked.connect(self._start_check)
            side.domains_found.connect(self._take_domains)
            side.dropped.connect(self.set_folders)
            side.name_changed.connect(self._take_name)
        self._doctor_page = DoctorPage(self._pages)
        self._doctor_page.left_out_changed.connect(self._take_left_out)
        self._doctor_page.reveal_requested.connect(_show_folder_of)
        self._settings_page = SettingsPage(settings.presets_folder, self._pages)
        self._settings_page.run_edited.connect(self._own_run)
        self._settings_page.changed.connect(self._take_setting)
        self._settings_page.advanced_opened.connect(self._make_room)
        self._summary = SummaryPage(self._pages)
        self._summary.remedy_chosen.connect(self._take_remedy)
        self._summary.quick_chosen.connect(self._choose_quick)
        for page in (pictures, self._doctor_page, self._settings_page, self._summary):
            self._pages.addWidget(page)

        # The names of a model may be longer than any window.
        self._title = ElidedLabel(role="title")
        self._title.setObjectName("wizard_title")
        self._place = plain_label(role="muted")
        self._hint = plain_label(role="muted", wrap=True)
        self._hint.setObjectName("wizard_hint")
        self._back = button(self.tr("&Back"))
        self._back.setObjectName("wizard_back")
        self._back.clicked.connect(self._go_back)
        cancel = button(self.tr("Cancel"))
        cancel.setObjectName("wizard_cancel")
        cancel.clicked.connect(self.reject)
        self._next = button(self.tr("&Next"), primary=True)
        self._next.setObjectName("wizard_next")
        self._next.setDefault(True)
        self._next.clicked.connect(self._go_on)

        head = QHBoxLayout()
        head.addWidget(self._title, 1)
        head.addWidget(self._place)
        foot = QHBoxLayout()
        foot.setSpacing(S)
        foot.addWidget(self._hint, 1)
        for part in (cancel, self._back, self._next):
            foot.addWidget(part)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.setSpacing(M)
        layout.addLayout(head)
        layout.addWidget(self._pages, 1)
        layout.addLayout(foot)
        self.resize(*_SIZE)
        self._propose_run()
        self._begins_with.hide()
        self._show_page(_PICTURES)
        self._sides[0].well.setFocus()

    def set_folders(self, folders: list[Path]) -> None:
        """Choose these: two folders for the two sides, or one for the side that is free (or holding both)."""
        if len(folders) >= 2:
            for side, folder in zip(self._sides, folders, strict=False):
                side.choose(folder)
        elif folders:
            free = next((side for side in self._sides if side.folder is None), self._sides[0])
            free.choose(folders[0])

    def set_start_from(self, model: Path) -> None:
        """Fine-tune this model file or the model in the folder of a training; its domains keep their names."""
        self._settings_page.set_start_from(model)

    def set_config(self, config: TrainConfig) -> None:
        """Show these settings, to be corrected."""
        self._is_run_own = True
        self._settings_page.set_config(config)
        self._doctor_page.set_left_out(config.left_out)
        for side, folder, tests, name in zip(
            self._sides,
            (config.folder_A, config.folder_B),
            (config.test_A, config.test_B),
            (config.name_A, config.name_B),
            strict=True,
        ):
            side.set_name(name)
            side.choose(folder, tests)

    def showEvent(self, event: QShowEvent) -> None:
        """Look for devices soon: it loads torch, and the window is to be there first."""
        super().showEvent(event)
        QTimer.singleShot(_DEVICES_AFTER_MILLISECONDS, self, self._look_for_devices)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take folders anywhere on the first page."""
        if self._page == _PICTURES and local_paths(event.mimeData()):
            accept_copy(event)

    def dropEvent(self, event: QDropEvent) -> None:
        """Take them."""
        accept_copy(event)
        self.set_folders(local_paths(event.mimeData()))

    def done(self, result: int) -> None:
        """Close, and leave nothing at work that is not needed."""
        self._examine_soon.stop()
        measurements = (self._measurement, self._quick_measurement)
        for work in (self._check, self._devices, self._examination, self._thumbnails, *measurements):
            work.drop()
        for side in self._sides:
            side.stop()
        super().done(result)

    # Pages

    @property
    def _page(self) -> int:
        return self._pages.currentIndex()

    def _show_page(self, page: int) -> None:
        self._measurement.drop()
        self._quick_measurement.drop()
        self._pages.setCurrentIndex(page)
        self._place.setText(self.tr("Step {page} of {pages}").format(page=page + 1, pages=self._pages.count()))
        self._back.setVisible(page != _PICTURES)
        self._next.setText(self.tr("&Start training") if page == _SUMMARY else self.tr("&Next"))
        self._show_titles()
        self._make_room()
        if page == _SUMMARY:
            self._show_summary()
        if page == _DOCTOR:
            self._read_warnings = self._doctor_page.warnings
        self._refresh()

    def _make_room(self) -> None:
        """Grow for the advanced options as far as the screen goes, and shrink again after them."""
        is_open = self._settings_page.is_advanced_open
        if self._page != _SETTINGS or is_open == (self._size_before is not None):
            return
        room = self.screen().availableGeometry()
        if is_open:
            self._size_before = self.size()
            wanted = QSize(*_SIZE_FOR_OPTIONS).boundedTo(room.size() - QSize(0, _FRAME))
            self._size_of_options = wanted.expandedTo(self.size())
            self.resize(self._size_of_options)
        elif self._size_before is not None:
            if self.size() == self._size_of_options:  # Otherwise the user has given it another one.
                self.resize(self._size_before)
            self._size_before = None
        frame = self.frameGeometry()
        frame.moveBottom(min(frame.bottom(), room.bottom()))
        frame.moveTop(max(frame.top(), room.top()))
        frame.moveRight(min(frame.right(), room.right()))
        frame.moveLeft(max(frame.left(), room.left()))
        self.move(frame.topLeft())

    def _go_back(self) -> None:
        self._show_page(self._page - 1)

    def _go_on(self) -> None:
        if self._page != _SUMMARY:
            self._show_page(self._page + 1)
            return
        config = self._config()
        if isinstance(config, TrainConfig):
            self.accept()
            self.start_requested.emit(config)

    def _show_titles(self) -> None:
        """Head the window and the page; where a model is fine-tuned, they say which."""
        model = self._model
        titles = [
            self.tr("Choose two folders of pictures"),
            self.tr("What the doctor found"),
            self.tr("How to train"),
            self.tr("Ready to start"),
        ]
        window = self.tr("New training")
        if model is not None:
            pair = pair_words(model.name_A, model.name_B)
            window = self.tr("Fine-tune {model}").format(model=pair)
            titles[_PICTURES], titles[_SETTINGS] = window, self.tr("How to fine-tune {model}").format(model=pair)
        self.setWindowTitle(window)
        self._title.setText(titles[self._page])

    def _take_model(self) -> None:
        """Say what the training begins with, and propose its names."""
        model = self._model
        if model is not None:
            text = self.tr("Begins with the networks of {model} ({file}): the first folder takes the place of {A}.")
            chosen = self._settings_page.values()["start_from"]
            assert isinstance(chosen, Path)
            pair = pair_words(model.name_A, model.name_B)
            text = text.format(model=pair, file=shown_text(chosen.name), A=shown_text(model.name_A))
            self._begins_with.setText(shown_paragraph(text))
        self._begins_with.setVisible(model is not None)
        self._show_titles()
        self._suggest_names()

    def _refresh(self) -> None:
        """Show each error beside its field, and let nobody go on past one."""
        errors = self._errors()
        on_first = {field: text for field, text in errors.items() if field in (*_FOLDER_FIELDS, *_NAME_FIELDS)}
        for side, folder, name in zip(self._sides, _FOLDER_FIELDS, _NAME_FIELDS, strict=True):
            side.show_errors(errors.get(folder, ""), errors.get(name, "") if self._are_chosen else "")
        left_out = errors.get(_LEFT_OUT, "")
        self._doctor_page.show_error(left_out)
        others = {field: text for field, text in errors.items() if field not in (*on_first, _LEFT_OUT)}
        self._settings_page.show_errors(others)
        is_ready = self._are_chosen and not self._is_checking and not on_first
        if self._page == _DOCTOR:
            is_ready = is_ready and not left_out
        elif self._page != _PICTURES:
            is_ready = is_ready and not errors
        self._next.setEnabled(is_ready)
        here = {_PICTURES: bool(on_first), _DOCTOR: bool(on_first or left_out)}
        self._hint.setText(self._hint_text(here.get(self._page, bool(errors))))
        if self._page != _PICTURES and on_first:
            self._show_page(_PICTURES)
        elif self._page > _DOCTOR and left_out:
            self._show_page(_DOCTOR)

    def _hint_text(self, has_error: bool) -> str:
        if not self._are_chosen:
            return self.tr("A folder that holds trainA and trainB fills both sides.")
        if self._page == _PICTURES and self._is_checking:
            return self.tr("Looking at the folders...")
        if has_error:
            return self.tr("Mend what is marked in red to go on.")
        if self._page > _DOCTOR and self._doctor_page.warnings > self._read_warnings:
            return self.tr("The doctor has found more meanwhile: go back to step 2 to see it.")
        return ""

    # What is chosen

    @property
    def _are_chosen(self) -> bool:
        return all(side.folder is not None for side in self._sides)

    @property
    def _is_checking(self) -> bool:
        return any(side.is_looking for side in self._sides) or self._check.is_running or self._check_soon.isActive()

    def _config(self, **others: object) -> TrainConfig | ConfigError:
        """The training as chosen, or what makes no sense about it; with these other values for some fields."""
        side_A, side_B = self._sides
        # Test pictures of one side only would hold out nothing on the other.
        has_tests = side_A.test_folder is not None and side_B.test_folder is not None
        try:
            chosen = {
                "folder_A": side_A.folder,
                "folder_B": side_B.folder,
                "test_A": side_A.test_folder if has_tests else None,
                "test_B": side_B.test_folder if has_tests else None,
                "name_A": side_A.name,
                "name_B": side_B.name,
                "left_out": self._doctor_page.left_out,
                **self._settings_page.values(),
            }
            return preset_config(self._settings_page.preset, **{**chosen, **others})
        except ConfigError as error:
            return error

    def _config_errors(self) -> dict[str, str]:
        """Everything about the training as chosen that makes no sense, by field.

        A config names one error at a time: each is put out of the way to see the next.
        """
        somewhere = Path()
        preset = preset_config(self._settings_page.preset, folder_A=somewhere, folder_B=somewhere, run=somewhere)
        names = {"name_A": "?", "name_B": "??"}  # Hardly what the other domain is called.
        errors: dict[str, str] = {}
        others: dict[str, object] = {}
        while isinstance(error := self._config(**others), ConfigError) and error.field not in errors:
            errors[error.field] = str(error)
            others[error.field] = names.get(error.field) or getattr(preset, error.field)
        return errors

    def _errors(self) -> dict[str, str]:
        """What is wrong now, by field."""
        errors = {field: side.problem for field, side in zip(_FOLDER_FIELDS, self._sides, strict=True) if side.problem}
        failure = self._check_failure
        if failure is not None and self._checked == self._paths():
            errors.setdefault(failure.field or "run", failure.message)
        if not self._settings_page.has_run_text:
            errors["run"] = self.tr("Say where the training is to be saved.")
        errors.update(self._settings_page.problems())
        if self._are_chosen:
            if self._sides[0].folder == self._sides[1].folder:
                same = self.tr("Both sides are the same folder. Choose a folder of different pictures for each side.")
                errors.update(dict.fromkeys(_FOLDER_FIELDS, same))
            errors.update(self._config_errors())
            errors.update(self._errors_of_examination())
        return errors

    def _errors_of_examination(self) -> dict[str, str]:
        """What the doctor lets no training begin with, and too little that is not left out."""
        errors = {}
        for finding in self._doctor_page.findings:
            if finding.severity == "stop":
                errors.update({f"folder_{side}": finding.sentence for side in finding.sides})
        for side, count in zip(self._sides, self._counts(), strict=True):
            if side.scan is not None and len(side.scan.pictures) >= 2 > count:
                errors[_LEFT_OUT] = self.tr(
                    "Too much is left out of {name}: a training needs at least two pictures on each side."
                ).format(name=side.name)
        return errors

    def _counts(self) -> tuple[int, int]:
        """Pictures of each side that are not left out."""
        left_out = set(self._doctor_page.left_out)
        scans = [side.scan for side in self._sides]
        count_A, count_B = (
            0 if scan is None else len(scan.pictures) - len(left_out.intersection(scan.pictures)) for scan in scans
        )
        return count_A, count_B

    def _paths(self) -> tuple[Path, Path, Path] | None:
        folder_A, folder_B = (side.folder for side in self._sides)
        return None if folder_A is None or folder_B is None else (folder_A, folder_B, self._settings_page.run)

    def _take_folder(self) -> None:
        self._check.drop()
        self._check_failure = None
        self._examination.drop()
        self._thumbnails.drop()
        self._examined = None
        self._doctor_page.clear()
        self._doctor_page.set_folders(*(side.folder for side in self._sides if side.folder is not None))
        self._show_doctor_line()
        self._suggest_names()
        self._refresh()

    def _suggest_names(self) -> None:
        """Propose the names of the model that is fine-tuned, or else those of the folders."""
        model = self._model
        if model is not None and self._settings_page.is_model_given:
            names = [shown_text(model.name_A), shown_text(model.name_B)]
        else:
            found = suggest_names(*(side.folder for side in self._sides))
            names = [
                "" if side.folder is None else name or fallback
                for side, name, fallback in zip(self._sides, found, ("A", "B"), strict=True)
            ]
        for side, name in zip(self._sides, names, strict=True):
            side.suggest_name(name)

    def _take_domains(self, domains: Domains) -> None:
        self._sides[0].choose(domains.train_A, domains.test_A)
        self._sides[1].choose(domains.train_B, domains.test_B)

    def _take_name(self) -> None:
        self._propose_run()
        self._settings_page.set_names(*(side.name for side in self._sides))
        self._examine_soon.start()
        self._refresh()

    def _take_setting(self) -> None:
        if self._paths() != self._checked:
            self._check_soon.start()
        if self._settings_page.model != self._model:
            self._model = self._settings_page.model
            self._take_model()
        self._examine_soon.start()
        self._refresh()

    def _own_run(self) -> None:
        self._is_run_own = True

    def _propose_run(self) -> None:
        if not self._is_run_own:
            names = [side.name for side in self._sides]
            self._settings_page.set_run(free_run_folder(self._settings.runs_folder, *names))

    # The check of both folders and the run

    def _start_check(self) -> None:
        paths = self._paths()
        self._check.drop()
        self._check_failure, self._checked = None, paths
        if all(side.scan is not None for side in self._sides):
            self._settings_page.set_counts(*self._counts())
        if paths is not None and all(side.scan is not None and not side.problem for side in self._sides):
            self._check.start(partial(check_folders, *paths))
        self._refresh()

    def _check_typed(self) -> None:
        if self._paths() != self._checked:
            self._start_check()
        self._refresh()

    def _take_check(self) -> None:
        self._start_examination()
        self._refresh()

    def _take_check_failure(self, failure: Failure) -> None:
        self._check_failure = failure
        self._refresh()

    # The examination by the doctor

    def _start_examination(self) -> None:
        """Look at the pictures, unless that has been done or is being done with these names and settings."""
        config, paths = self._config(), self._paths()
        is_checked = self._check_failure is None and self._checked == paths and not self._is_checking
        if not isinstance(config, TrainConfig) or paths is None or not is_checked:
            return
        fields = ("folder_A", "folder_B", "name_A", "name_B", "preset", "size", "width", "load_size", "preprocess")
        wanted = tuple(getattr(config, field) for field in (*fields, "grey_A", "grey_B", "diff_augment"))
        if wanted == self._examined:
            return
        self._examined = wanted
        self._thumbnails.drop()
        self._findings = []
        self._doctor_page.show_begun()
        self._show_doctor_line()
        self._examination.start(
            partial(
                self._examine,
                config.folder_A,
                config.folder_B,
                name_A=config.name_A,
                name_B=config.name_B,
                config=config,
                memory=self._memory,
            )
        )

    def _take_examination(self, event: CheckEvent) -> None:
        match event:
            case Preparing():
                self._doctor_page.show_progress(event)
            case Finding():
                self._findings.append(event)
            case Examined():
                self._doctor_page.show_findings(self._findings, event)
                self._thumbnails.start(partial(load_thumbnails, tuple(self._findings)))
                if self._page == _DOCTOR:
                    self._read_warnings = self._doctor_page.warnings
                self._refresh()
            case _:
                assert_never(event)
        self._show_doctor_line()

    def _take_examination_failure(self, failure: Failure) -> None:
        self._doctor_page.show_failure(failure.message)
        self._show_doctor_line()

    def _take_thumbnail(self, event: FindingThumbnail) -> None:
        self._doctor_page.add_thumbnail(event)

    def _take_left_out(self) -> None:
        self._settings_page.set_counts(*self._counts())
        self._refresh()

    def _show_doctor_line(self) -> None:
        self._doctor_line.setText(self._doctor_page.short_words)

    # Devices

    def _look_for_devices(self) -> None:
        self._devices.start(self._list_devices)

    def _take_devices(self, devices: Devices) -> None:
        self._settings_page.set_devices(devices)
        # What is summed up already stays as it is.
        if devices[0][0] != "cpu" and self._page != _SUMMARY:
            self._settings_page.propose_preset("standard")

    # The measurement

    def _show_summary(self) -> None:
        config = self._config()
        assert isinstance(config, TrainConfig), "The pages before let nothing else through."
        page = self._settings_page
        self._summary.show_config(config, page.preset.title, self._counts(), page.device_words, page.changes())
        self._summary.show_measuring()
        self._measurement.start(partial(self._estimate, config))

    def _take_measurement(self, event: EstimateEvent) -> None:
        match event:
            case Preparing():
                self._summary.show_measuring(event)
            case Estimated():
                self._summary.show_estimate(event)
                if event.seconds > _LONG_SECONDS:
                    self._summary.warn_of_long(self._settings_page.preset.title, event.seconds)
                if event.seconds > _QUICK_BESIDE_SECONDS or not event.fits:
                    self._measure_quick()
            case TooLarge():
                self._summary.show_too_large(event)
                self._measure_quick()
            case Notice():
                pass
            case _:
                assert_never(event)

    def _take_measurement_failure(self, failure: Failure) -> None:
        self._summary.show_no_time(failure.message)

    def _measure_quick(self) -> None:
        """Measure what would be quick, beside what takes long or does not fit."""
        if self._settings_page.preset.name == "quick":
            return
        side_A, side_B = self._sides
        quick = preset_config(
            "quick",
            folder_A=side_A.folder,
            folder_B=side_B.folder,
            name_A=side_A.name,
            name_B=side_B.name,
            left_out=self._doctor_page.left_out,
            run=self._settings_page.run,
            device=self._settings_page.values()["device"],
        )
        self._summary.show_quick(None)
        self._quick_measurement.start(partial(self._estimate, quick))

    def _take_quick(self, event: EstimateEvent) -> None:
        if isinstance(event, Estimated):
            self._summary.show_quick(event)
        elif isinstance(event, TooLarge):
            self._summary.hide_quick()

    def _choose_quick(self) -> None:
        """Take the quick preset, with nothing of one's own on top, and measure it."""
        self._settings_page.choose_preset("quick")
        self._measure_anew()

    def _take_remedy(self, remedy: Remedy) -> None:
        self._settings_page.take_changes(dict(remedy.changes))
        self._measure_anew()

    def _measure_anew(self) -> None:
        """Sum up the settings as they are now, or show them where they no longer go together."""
        self._show_page(_SUMMARY if isinstance(self._config(), TrainConfig) else _SETTINGS)


def _show_folder_of(path: Path) -> None:
    """Open the folder of a file as the system does."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))


def free_run_folder(folder: Path, name_A: str, name_B: str) -> Path:
    """A folder that is not there yet, such as "Apples and Oranges 2026-11-22"."""
    today = datetime.date.today().isoformat()
    return free_path(folder, f"{name_A} and {name_B} {today}" if name_A and name_B else f"Training {today}")
