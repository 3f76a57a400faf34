"""The card of options, and the window behind "More..."."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QKeySequence, QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from cyclegan_desktop.conversion.job_choices import JobChoices
from cyclegan_desktop.conversion.options import ConversionOptions
from cyclegan_desktop.conversion.page import ConversionPage
from engine.conversion.model_file import ModelInfo
from engine.model.architecture import Architecture

LONG_SKIP = ModelInfo(
    Path("winter.safetensors"), "Summer", "Winter", 64, Architecture(long_skip=True), "quick", 1, "2026-01-01"
)
WHOLE = ModelInfo(Path("zebra.safetensors"), "Horses", "Zebras", 256, Architecture(), "standard", 1, "2026-01-01")

ALL_CHANGED = JobChoices(
    format="jpg",
    quality=55,
    chroma="4:2:0",
    frames="first",
    resize="change",
    name="{index} {name}",
    if_exists="overwrite",
    again=True,
    watch=True,
    max_megapixels=500,
    time_limit=30.5,
    memory_gb=2.25,
    device="cpu",
)


@pytest.fixture
def options(qtbot, monkeypatch) -> ConversionOptions:
    monkeypatch.setattr("cyclegan_desktop.conversion.options.can_write", lambda format: format not in ("heic", "jp2"))
    options = ConversionOptions()
    qtbot.addWidget(options)
    options.set_direction(LONG_SKIP, "a2b")
    return options


def more(options: ConversionOptions) -> QDialog:
    found = options.findChild(QDialog, "output_options")
    assert isinstance(found, QDialog)
    return found


def choose(options: QWidget, name: str, text: str) -> None:
    box = options.findChild(QComboBox, name)
    assert box.findText(text) >= 0, [box.itemText(place) for place in range(box.count())]
    box.setCurrentText(text)


def texts(options: ConversionOptions, name: str) -> list[str]:
    box = options.findChild(QComboBox, name)
    return [box.itemText(place) for place in range(box.count())]


def summary(options: ConversionOptions) -> str:
    label = options.findChild(QLabel, "convert_summary")
    return "" if label.isHidden() else label.text()


def test_at_first_every_choice_is_the_default_of_a_job(options) -> None:
    assert options.choices == JobChoices()
    assert summary(options) == ""


def test_choices_that_are_set_come_back_in_silence(options, qtbot) -> None:
    with qtbot.assertNotEmitted(options.choices_changed):
        options.set_choices(ALL_CHANGED)
    assert options.choices == ALL_CHANGED


def test_a_device_that_is_not_on_offer_is_kept(options) -> None:
    options.set_choices(JobChoices(device="cuda:1"))
    assert options.choices.device == "cuda:1"


def test_what_is_chosen_by_hand_is_told_and_counts(options, qtbot) -> None:
    with qtbot.waitSignal(options.choices_changed):
        choose(options, "convert_format", "JPEG")
    with qtbot.waitSignal(options.choices_changed):
        choose(options, "convert_size", "Longest side")
    with qtbot.waitSignal(options.choices_changed):
        options.findChild(QSpinBox, "convert_longest").setValue(500)
    with qtbot.waitSignal(options.choices_changed):
        choose(options, "convert_if_exists", "Skip")
    with qtbot.waitSignal(options.choices_changed):
        more(options).findChild(QDoubleSpinBox, "more_quality").setValue(70)
    with qtbot.waitSignal(options.choices_changed):
        more(options).findChild(QAbstractButton, "more_watch").click()
    assert options.choices == JobChoices(format="jpg", resize=500, if_exists="skip", quality=70, watch=True)


def test_formats_that_cannot_be_written_here_are_left_out_and_heic_says_what_it_needs(options) -> None:
    assert texts(options, "convert_format") == [
        "Keep", "JPEG", "PNG", "WebP", "TIFF", "BMP", "GIF", "AVIF", "HEIC",
    ]  # fmt: skip
    box = options.findChild(QComboBox, "convert_format")
    model = box.model()
    assert isinstance(model, QStandardItemModel)
    assert [model.item(place).isEnabled() for place in range(box.count())] == [True] * 8 + [False]
    assert "cyclegan-desktop[heic]" in box.itemData(8, Qt.ItemDataRole.ToolTipRole)
    options.set_choices(JobChoices(format="heic"))
    assert options.choices.format == "keep"


@pytest.mark.parametrize("is_there", [True, False])
def test_an_engine_that_is_not_installed_says_what_it_needs(qtbot, monkeypatch, is_there: bool) -> None:
    found = object() if is_there else None
    monkeypatch.setattr("cyclegan_desktop.conversion.output_options.find_spec", lambda _name: found)
    options = ConversionOptions()
    qtbot.addWidget(options)
    box = more(options).findChild(QComboBox, "more_engine")
    model = box.model()
    assert isinstance(model, QStandardItemModel)
    assert [model.item(place).isEnabled() for place in range(box.count())] == [True, True, is_there]
    assert ("cyclegan-desktop[openvino]" in (box.itemData(2, Qt.ItemDataRole.ToolTipRole) or "")) != is_there


def test_the_change_alone_is_offered_for_models_with_the_long_skip_only(options) -> None:
    assert texts(options, "convert_size") == [
        "Original",
        "Original, change at 64 px",
        "Training size (64 px)",
        "Longest side",
    ]
    options.set_resize("change")
    options.set_direction(WHOLE, "a2b")
    assert texts(options, "convert_size") == ["Original", "Training size (256 px)", "Longest side"]
    assert options.choices.resize is None
    options.set_direction(LONG_SKIP, "a2b")
    assert options.choices.resize == "change", "What was wished for is back with a model that has it."


def test_a_model_that_has_another_size_tells_once(options, qtbot) -> None:
    options.set_resize("change")
    with qtbot.waitSignal(options.choices_changed):
        options.set_direction(WHOLE, "a2b")
    with qtbot.assertNotEmitted(options.choices_changed):
        options.set_direction(WHOLE, "b2a")
    with qtbot.waitSignal(options.choices_changed):
        options.set_direction(LONG_SKIP, "a2b")
    with qtbot.assertNotEmitted(options.choices_changed):
        options.set_direction(LONG_SKIP, "b2a")


def test_a_size_that_is_chosen_for_the_user_is_told(options, qtbot) -> None:
    with qtbot.waitSignal(options.choices_changed):
        options.set_resize("training")
    assert options.choices.resize == "training"
    with qtbot.assertNotEmitted(options.choices_changed):
        options.set_resize("training")


def test_the_summary_says_what_differs_and_matters(options) -> None:
    options.set_choices(ALL_CHANGED)
    assert summary(options) == "  \N{MIDDLE DOT}  ".join(
        [
            "Quality 55",
            "colour 4:2:0",
            "first frame only",
            "names like {index} {name}",
            "watching the folders",
            "converting again what was converted",
            "up to 500 MP",
            "at most 30.5 s a picture",
            "2.25 GB of memory",
            "on CPU",
        ]
    )
    options.set_choices(JobChoices(format="png", quality=55, chroma="4:2:0"))
    assert summary(options) == "", "A PNG has neither."


@pytest.mark.parametrize(
    ("choices", "usable"),
    [
        (JobChoices(format="keep"), {"quality", "lossless", "chroma"}),
        (JobChoices(format="keep", lossless=True), {"quality", "lossless", "chroma"}),
        (JobChoices(format="jpg"), {"quality", "chroma"}),
        (JobChoices(format="jpg", lossless=True), {"quality", "chroma"}),
        (JobChoices(format="webp"), {"quality", "lossless"}),
        (JobChoices(format="avif"), {"quality", "lossless", "chroma"}),
        (JobChoices(format="avif", lossless=True), {"lossless"}),
        (JobChoices(format="tiff"), set()),
    ],
)
def test_only_what_a_format_has_can_be_changed(options, choices, usable) -> None:
    options.set_choices(choices)
    fields = {"quality", "lossless", "chroma"}
    assert {field for field in fields if more(options).findChild(QWidget, f"more_{field}").isEnabled()} == usable


def test_names_show_an_example_of_this_model_and_format(options) -> None:
    options.set_choices(JobChoices(format="webp", name="{name} {model} {direction} {index}"))
    example = more(options).findChild(QLabel, "more_name_example")
    assert example.text() == "photo.jpg becomes photo winter Summer to Winter 0001.webp"
    options.set_direction(LONG_SKIP, "b2a")
    assert example.text() == "photo.jpg becomes photo winter Winter to Summer 0001.webp"


def test_a_template_that_makes_no_names_is_explained_beside_the_field(options) -> None:
    field = more(options).findChild(QLineEdit, "more_name")
    problem = more(options).findChild(QLabel, "more_name_problem")
    field.setText("{nam}")
    assert "{nam}" in problem.text() and "{name}" in problem.text() and not problem.isHidden()
    assert field.property("invalid")
    field.setText("fixed")
    assert "{index}" in problem.text()
    field.setText("{index}")
    assert problem.isHidden() and not field.property("invalid")


def test_every_option_and_all_of_them_go_back_to_their_defaults(options, qtbot) -> None:
    window = more(options)
    options.set_choices(ALL_CHANGED)
    for field in ("quality", "chroma", "frames", "name", "again", "watch", "max_megapixels", "time_limit", "memory_gb"):
        window.findChild(QAbstractButton, f"more_reset_{field}").click()
        assert getattr(options.choices, field) == getattr(JobChoices(), field)
        assert window.findChild(QAbstractButton, f"more_reset_{field}").isHidden()
    options.set_choices(ALL_CHANGED)
    with qtbot.waitSignal(options.choices_changed):
        window.findChild(QPushButton, "more_defaults").click()
    on_the_card = JobChoices(format="jpg", resize="change", if_exists="overwrite")
    assert options.choices == on_the_card, "What is on the card itself stays."
    assert not window.findChild(QPushButton, "more_defaults").isEnabled()


def test_the_window_of_more_options_blocks_nothing_and_closes(options, qtbot) -> None:
    options.show()
    options.findChild(QPushButton, "convert_more").click()
    assert more(options).isVisible() and not more(options).isModal()
    more(options).findChild(QPushButton, "more_close").click()
    assert not more(options).isVisible()


def test_the_return_key_presses_the_button_with_the_focus_and_no_other(options, qtbot) -> None:
    options.set_choices(ALL_CHANGED)
    options.show_more()
    window = more(options)
    qtbot.keyClick(window.findChild(QLineEdit, "more_name"), Qt.Key.Key_Return)
    assert options.choices == ALL_CHANGED and window.isVisible()
    reset = window.findChild(QAbstractButton, "more_reset_name")
    reset.setFocus()
    qtbot.keyClick(reset, Qt.Key.Key_Return)
    assert options.choices == dataclasses.replace(ALL_CHANGED, name="{name}")


def test_nothing_can_be_changed_in_its_own_window_either_while_the_card_is_disabled(options) -> None:
    options.set_choices(ALL_CHANGED)
    options.setEnabled(False)
    window = more(options)
    assert not window.findChild(QWidget, "more_quality").isEnabled()
    assert not window.findChild(QPushButton, "more_defaults").isEnabled()
    assert "Quality 55" in summary(options)
    options.setEnabled(True)
    assert window.findChild(QWidget, "more_quality").isEnabled()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(JobChoices)])
def test_a_sentence_about_any_choice_finds_its_place(options, field) -> None:
    assert options.show_problem("This does not work.", field)
    shown = [label.text() for label in options.findChildren(QLabel) if not label.isHidden()]
    assert "This does not work." in shown
    options.clear_problems()
    shown = [label.text() for label in options.findChildren(QLabel) if not label.isHidden()]
    assert "This does not work." not in shown


def test_every_option_has_a_name_and_a_sentence(options) -> None:
    editors = [
        each
        for each in more(options).findChildren(QWidget)
        if each.objectName().startswith("more_") and isinstance(each, QComboBox | QAbstractSpinBox | QLineEdit)
    ]
    assert len(editors) == 8
    for editor in (*editors, *(options.findChild(QComboBox, f"convert_{name}") for name in ("format", "if_exists"))):
        assert "." in editor.toolTip(), editor.objectName()
    for editor in editors:
        assert editor.accessibleName() and editor.accessibleDescription(), editor.objectName()
    box = options.findChild(QComboBox, "convert_size")
    for place in range(box.count()):
        assert "." in box.itemData(place, Qt.ItemDataRole.ToolTipRole)


def test_the_wheel_changes_nothing_that_has_no_focus(options, qtbot) -> None:
    options.show_more()
    editors = [
        *options.findChildren(QComboBox),
        *(each for each in more(options).findChildren(QAbstractSpinBox)),
        options.findChild(QSpinBox, "convert_longest"),
    ]
    assert len(editors) >= 9
    before = options.choices
    for editor in editors:
        editor.clearFocus()
        _turn_wheel(editor)
    assert options.choices == before


def _turn_wheel(widget: QWidget) -> None:
    place = QPointF(widget.rect().center())
    nothing = QPoint()
    wheel = QWheelEvent(
        place,
        widget.mapToGlobal(place),
        nothing,
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, wheel)


def test_every_letter_leads_to_one_thing(qtbot, converter) -> None:
    """The longest button texts of the page at once; the window of more options has letters of its own."""
    page = ConversionPage()
    qtbot.addWidget(page, before_close_func=lambda page: page.comparison.wait())
    page.set_count(1, 0, is_inviting=False)
    page.set_marked_count(1)
    page.set_failed_count(1, can_retry=True)
    page.options.size_hint.show_advice(Path("a.jpg"), (900, 600), 64, long_skip=True)
    window = more(page.options)
    for root, others in ((page, window), (window, None)):
        letters: dict[str, str] = {}
        for widget in root.findChildren(QWidget):
            if not isinstance(widget, QAbstractButton | QLabel) or not widget.isVisibleTo(root):
                continue
            if others is not None and (widget is others or others.isAncestorOf(widget)):
                continue
            if isinstance(widget, QLabel) and widget.buddy() is None:
                continue
            key = QKeySequence.mnemonic(widget.text()).toString()
            if key:
                assert key not in letters, f"{key} is that of {letters[key]} and of {widget.text()}"
                letters[key] = widget.text()
        assert len(letters) >= 10


@pytest.mark.parametrize("long_skip", [True, False])
def test_the_advice_says_what_is_so_and_offers_what_there_is(options, qtbot, long_skip) -> None:
    hint = options.size_hint
    hint.show_advice(Path("<b>lake.jpg"), (6000, 4000), 64, long_skip=long_skip)
    assert "<b>lake.jpg is 6,000 x 4,000 px; this model was trained at 64 px." in hint.text
    with qtbot.waitSignal(hint.use_asked) as asked:
        hint.findChild(QPushButton, "size_hint_use").click()
    assert asked.args == ["change" if long_skip else "training"]
