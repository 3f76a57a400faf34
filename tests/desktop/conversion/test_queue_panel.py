from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QTableView, QToolButton

from cyclegan_desktop.conversion.batches import BatchState
from cyclegan_desktop.conversion.queue_panel import NAME, PROGRESS, STATE, BatchLine, BatchTable, QueuePanel


def line(name: str, state: BatchState = BatchState.WAITING, tried: int = 0, failed: int = 0) -> BatchLine:
    return BatchLine(name, state, tried, failed, 1000)


@pytest.fixture
def panel(qtbot) -> QueuePanel:
    made = QueuePanel()
    qtbot.addWidget(made)
    made.resize(700, 100)
    return made


def table_of(panel: QueuePanel) -> QTableView:
    return panel.findChild(QTableView, "queue_list")


def test_one_batch_needs_no_list(panel):
    panel.set_batches([line("Photos")], 0, can_remove=True)
    assert panel.isHidden()
    panel.set_batches([line("Photos"), line("Scans")], 0, can_remove=True)
    assert not panel.isHidden()


def test_a_line_says_how_far_a_batch_is(qapp):
    table = BatchTable()
    table.set_lines(
        [
            line("<b>Photos", BatchState.RUNNING, 340, 2),
            line("Scans"),
            line("Inbox", BatchState.PAUSED, 12),
        ]
    )
    texts = [[table.data(table.index(row, column)) for column in (NAME, STATE, PROGRESS)] for row in range(3)]
    assert texts == [
        ["<b>Photos", "Converting", "340 of 1,000, 2 failed"],
        ["Scans", "Waiting", "1,000 pictures"],
        ["Inbox", "Paused", "12 of 1,000"],
    ]
    assert "&lt;b&gt;Photos" in table.data(table.index(0, NAME), Qt.ItemDataRole.ToolTipRole)
    assert table.data(table.index(0, PROGRESS), Qt.ItemDataRole.UserRole) == 0.34


def test_only_the_user_chooses_a_batch(panel, qtbot):
    chosen: list[int] = []
    panel.batch_chosen.connect(chosen.append)
    panel.set_batches([line("Photos"), line("Scans"), line("Inbox")], 1, can_remove=True)
    assert chosen == []
    qtbot.keyClick(table_of(panel), Qt.Key.Key_Down)
    assert chosen == [2]


def test_keys_change_the_order_and_take_off_the_list(panel, qtbot):
    moved: list[tuple[int, int]] = []
    removed: list[int] = []
    panel.move_asked.connect(lambda place, by: moved.append((place, by)))
    panel.remove_asked.connect(removed.append)
    panel.set_batches([line("Photos"), line("Scans")], 1, can_remove=False)
    table = table_of(panel)
    qtbot.keyClick(table, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    qtbot.keyClick(table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert (moved, removed) == ([(1, -1)], [])
    panel.set_batches([line("Photos"), line("Scans")], 1, can_remove=True)
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert removed == [1]


def test_progress_draws_anew_only_the_line_that_changed(qapp):
    table = BatchTable()
    table.set_lines([line("Photos"), line("Scans")])
    changed: list[int] = []
    table.dataChanged.connect(lambda first, _last, _roles: changed.append(first.row()))
    table.set_lines([line("Photos"), line("Scans", BatchState.RUNNING, 1)])
    assert changed == [1]


def selected_lines(panel: QueuePanel) -> list[int]:
    return [index.row() for index in table_of(panel).selectionModel().selectedRows()]


@pytest.mark.parametrize("is_scrolled", [False, True])
def test_a_line_that_vanishes_while_another_is_pressed_leaves_the_shown_one_highlighted(panel, qtbot, is_scrolled):
    names = [f"Batch {number}" for number in range(8)]

    def choose(place: int) -> None:
        # The batch shown before was empty and is gone.
        if "Batch 0" in names:
            names.remove("Batch 0")
            panel.set_batches([line(name) for name in names], place - 1, can_remove=True)

    panel.set_batches([line(name) for name in names], 0, can_remove=True)
    panel.batch_chosen.connect(choose)
    panel.show()
    table = table_of(panel)
    place = 1
    if is_scrolled:
        table.scrollToBottom()
        place = 6
    at = table.visualRect(table.model().index(place, NAME)).center()
    qtbot.mousePress(table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.mouseMove(table.viewport(), at + QPoint(3, 1))
    qtbot.mouseRelease(table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert selected_lines(panel) == [table.currentIndex().row()] == [place - 1]
    index = table.model().index(place - 1, NAME)
    assert table.viewport().rect().contains(table.visualRect(index).center())
    removed: list[int] = []
    panel.remove_asked.connect(removed.append)
    panel.findChild(QToolButton, "queue_remove").click()
    assert removed == [place - 1]


def test_a_line_that_is_clicked_is_the_highlighted_one(panel, qtbot):
    panel.set_batches([line("Photos"), line("Scans"), line("Inbox")], 0, can_remove=True)
    panel.show()
    table = table_of(panel)
    for place in (2, 1):
        at = table.visualRect(table.model().index(place, PROGRESS)).center()
        qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)
        assert selected_lines(panel) == [place]
    qtbot.keyClick(table, Qt.Key.Key_Up)
    assert selected_lines(panel) == [0]
