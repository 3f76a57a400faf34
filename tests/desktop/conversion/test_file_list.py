from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from cyclegan_desktop.conversion.file_list import NAME, NOTES, STATE, FileList, FileListModel, FileState

PHOTOS = Path("/data/Photos")


@pytest.fixture
def files(qapp) -> FileListModel:
    return FileListModel()


@pytest.fixture
def file_list(qtbot) -> FileList:
    made = FileList()
    qtbot.addWidget(made)
    made.resize(500, 400)
    made.files.add([PHOTOS / f"{number}.png" for number in range(6)], PHOTOS)
    made.show()
    return made


def text(files: FileListModel, place: int, column: int, role: int = Qt.ItemDataRole.DisplayRole) -> str:
    return files.data(files.index(place, column), role)


def test_a_picture_that_is_there_already_is_left_out(files):
    assert files.add([PHOTOS / "a.png", PHOTOS / "sub" / "b.png"], PHOTOS) == 2
    assert files.add([PHOTOS / "sub" / "b.png", PHOTOS / "c.png"], None) == 1
    assert [row.path.name for row in files.rows] == ["a.png", "b.png", "c.png"]


def test_names_are_relative_to_the_folder_that_was_added(files):
    files.add([PHOTOS / "sub" / "a.png"], PHOTOS)
    files.add([Path("/other/single.png")], None)
    assert [files.shown_name(number) for number in (0, 1)] == [str(Path("sub/a.png")), "single.png"]


def test_names_begin_with_their_folder_when_there_are_several(files):
    files.add([PHOTOS / "a.png"], PHOTOS)
    files.add([Path("/data/Scans/a.png")], Path("/data/Scans"))
    assert [files.shown_name(number) for number in (0, 1)] == [str(Path("Photos/a.png")), str(Path("Scans/a.png"))]


def test_the_root_of_a_disk_can_be_added(files):
    files.add([Path("/a.png"), Path("/sub/b.png")], Path("/"))
    assert [files.shown_name(number) for number in (0, 1)] == ["a.png", str(Path("sub/b.png"))]


def test_a_name_like_html_stays_a_name(files):
    name = "<img src=x> & <b>.png"
    files.add([PHOTOS / name], PHOTOS)
    assert text(files, 0, NAME) == name
    tooltip = text(files, 0, NAME, Qt.ItemDataRole.ToolTipRole)
    assert "&lt;img src=x&gt; &amp; &lt;b&gt;.png" in tooltip and "<img" not in tooltip


def test_a_reason_is_shown_without_the_name_beside_it(files):
    files.add([PHOTOS / "a.png"], PHOTOS)
    files.set_state(0, FileState.FAILED, "a.png is empty. Copy it again.")
    assert text(files, 0, STATE) == "Failed"
    assert text(files, 0, NOTES) == "is empty. Copy it again."
    assert "a.png is empty" in text(files, 0, NOTES, Qt.ItemDataRole.ToolTipRole)


def test_a_thousand_changes_are_one_update_of_the_view(files, qtbot):
    files.add([PHOTOS / f"{number}.png" for number in range(1000)], PHOTOS)
    updates: list[tuple[int, int]] = []
    files.dataChanged.connect(lambda first, last, _roles: updates.append((first.row(), last.row())))
    for number in range(1000):
        files.set_state(number, FileState.DONE)
    assert updates == []
    qtbot.waitUntil(lambda: bool(updates))
    assert updates == [(0, 999)]
    assert files.count(FileState.DONE) == 1000 and files.count(FileState.PENDING) == 0


def test_a_hundred_thousand_rows_take_no_widgets_and_few_signals(file_list):
    files = file_list.files
    inserted: list[int] = []
    files.rowsInserted.connect(lambda _parent, first, last: inserted.append(last - first + 1))
    widgets = len(file_list.findChildren(QWidget))
    for start in range(0, 100_000, 5000):
        files.add([PHOTOS / "many" / f"{number}.png" for number in range(start, start + 5000)], PHOTOS)
    file_list.grab()
    assert inserted == [5000] * 20
    assert files.rowCount() == 100_006
    assert len(file_list.findChildren(QWidget)) == widgets
    assert len({file_list.rowHeight(place) for place in (0, 1, 50_000, 100_005)}) == 1


def test_only_failures_can_be_shown(files):
    files.add([PHOTOS / f"{number}.png" for number in range(10)], PHOTOS)
    for number in (7, 3):
        files.set_state(number, FileState.FAILED, "broken")
    files.set_failed_only(True)
    assert [text(files, place, NAME) for place in range(files.rowCount())] == ["3.png", "7.png"]
    files.set_state(5, FileState.FAILED, "broken")
    files.set_state(6, FileState.DONE)
    files.update_view()
    assert [files.number_at(place) for place in range(files.rowCount())] == [3, 5, 7]
    assert files.place_of(5) == 1 and files.place_of(6) is None
    files.set_state(3, FileState.PENDING)
    files.update_view()
    assert [files.number_at(place) for place in range(files.rowCount())] == [5, 7]
    files.add([PHOTOS / "new.png"], PHOTOS)
    files.set_failed_only(False)
    assert files.rowCount() == 11


@pytest.mark.parametrize("gone", [[1, 2], [0, 5], list(range(0, 100, 2)), list(range(100))])
def test_removed_rows_are_gone_and_the_rest_is_found(files, gone):
    files.add([PHOTOS / f"{number}.png" for number in range(100)], PHOTOS)
    files.set_state(99, FileState.DONE)
    files.remove(gone)
    left = [number for number in range(100) if number not in gone]
    assert [row.path.name for row in files.rows] == [f"{number}.png" for number in left]
    assert [files.number_of(PHOTOS / f"{number}.png") for number in left] == list(range(len(left)))
    assert files.number_of(PHOTOS / f"{gone[0]}.png") is None
    assert files.count(FileState.DONE) == (99 in left)
    assert files.roots == ((PHOTOS,) if left else ())


def test_a_change_of_a_row_that_is_removed_disturbs_nobody(files):
    files.add([PHOTOS / "a.png"], PHOTOS)
    files.set_state(0, FileState.DONE)
    files.clear()
    files.update_view()
    assert len(files) == 0


def test_del_asks_to_remove_the_selected_rows(file_list, qtbot):
    file_list.select(2)
    qtbot.keyClick(file_list, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    with qtbot.waitSignal(file_list.remove_requested) as asked:
        qtbot.keyClick(file_list, Qt.Key.Key_Delete)
    assert asked.args == [[2, 3]]


def test_the_row_after_the_removed_one_becomes_the_current_one(file_list):
    file_list.select(2)
    selected: list[int] = []
    file_list.row_selected.connect(selected.append)
    file_list.files.remove([1, 2])
    assert file_list.currentIndex().row() == selected[-1]
    assert file_list.files.rows[selected[-1]].path.name == "3.png"


def test_arrow_keys_go_through_the_rows_and_stop_at_the_ends(file_list, qtbot):
    file_list.select(3)
    selected: list[int] = []
    file_list.row_selected.connect(selected.append)
    qtbot.keyClick(file_list, Qt.Key.Key_Down)
    file_list.step(-4)
    file_list.step(-1)
    file_list.step(99)
    assert selected == [4, 0, 5]


def test_an_empty_list_has_no_current_row(file_list):
    file_list.select(1)
    with_signal: list[int] = []
    file_list.row_selected.connect(with_signal.append)
    file_list.files.clear()
    assert with_signal[-1] == -1
    file_list.step(1)
    assert file_list.selected_numbers() == []


@pytest.mark.parametrize("width", [230, 300, 500, 1200])
def test_the_columns_fit_the_width(file_list, qtbot, width):
    file_list.files.add([PHOTOS / f"more {number}.png" for number in range(100)], PHOTOS)
    file_list.resize(width, 200)
    qtbot.waitUntil(file_list.verticalScrollBar().isVisible)
    assert not file_list.horizontalScrollBar().isVisible()
    assert file_list.horizontalHeader().length() == file_list.viewport().width()


def test_m_asks_to_mark_the_selected_rows(file_list, qtbot):
    file_list.select(2)
    qtbot.keyClick(file_list, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    with qtbot.waitSignal(file_list.mark_requested) as asked:
        qtbot.keyClick(file_list, Qt.Key.Key_M)
    assert asked.args == [[2, 3]]
    assert file_list.currentIndex().row() == 3


def test_marks_stay_with_their_pictures(files):
    files.add([PHOTOS / f"{number}.png" for number in range(6)], PHOTOS)
    for number in (4, 1):
        files.set_marked(number, True)
    assert files.marked_numbers() == [1, 4]
    assert not files.data(files.index(4, NAME), Qt.ItemDataRole.DecorationRole).isNull()
    assert files.data(files.index(0, NAME), Qt.ItemDataRole.DecorationRole) is None
    files.remove([0, 1])
    assert files.marked_numbers() == [2] and files.rows[2].path.name == "4.png"
    files.set_marked(2, False)
    assert files.marked_count == 0


def test_other_pictures_can_be_shown_in_the_same_list(file_list, qtbot):
    other = FileListModel()
    other.add([PHOTOS / "other.png", PHOTOS / "last.png"], PHOTOS)
    file_list.select(3)
    selected: list[int] = []
    file_list.row_selected.connect(selected.append)
    first = file_list.files
    file_list.show_files(other)
    assert selected == [-1]
    first.remove([0])  # No longer this list's concern.
    qtbot.keyClick(file_list, Qt.Key.Key_Down)
    assert selected == [-1, 0]
    other.remove([0])
    assert selected[-1] == 0 and file_list.files.shown_name(0) == "last.png"
    assert file_list.horizontalHeader().length() == file_list.viewport().width()


def test_end_and_home_go_to_the_last_and_the_first_row(file_list, qtbot):
    file_list.select(3)
    qtbot.keyClick(file_list, Qt.Key.Key_End)
    assert file_list.selected_numbers() == [5] and file_list.currentIndex().row() == 5
    qtbot.keyClick(file_list, Qt.Key.Key_Home)
    assert file_list.selected_numbers() == [0]
    qtbot.keyClick(file_list, Qt.Key.Key_End, Qt.KeyboardModifier.ShiftModifier)
    assert file_list.selected_numbers() == list(range(6))


def test_other_pictures_are_shown_from_the_first_one_or_the_one_chosen(file_list):
    first, other = file_list.files, FileListModel()
    for files in (first, other):
        files.add([PHOTOS / f"more {number}.png" for number in range(200)], PHOTOS)
    file_list.select(150)
    assert file_list.rowAt(0) > 100
    file_list.show_files(other)
    assert file_list.rowAt(0) == 0
    file_list.show_files(first)
    file_list.select(150)
    assert file_list.rowAt(0) <= 150 <= file_list.rowAt(file_list.viewport().height() - 1)
