"""Which row has its pictures on the right of the Convert page."""

from __future__ import annotations

from pathlib import Path

from tests.desktop.conversion.acts import add, convert, hold, label


def test_a_chosen_row_shows_before_and_after(page, controller, pictures, qtbot):
    page.show()
    add(qtbot, controller, pictures)
    convert(qtbot, controller)
    controller.show_comparison(3)
    view = page.comparison.view
    qtbot.waitUntil(lambda: view.before is not None and view.after is not None)
    assert page.comparison.name == str(Path("sub/c.png"))
    controller.show_comparison(2)
    assert label(page, "comparison_problem").text() == "bad.png is empty. Copy it again."


def test_results_show_themselves_until_a_row_is_chosen(page, controller, converter, pictures, qtbot):
    page.show()
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "c.png")
    qtbot.waitUntil(lambda: page.comparison.name == "b.gif")
    controller.show_comparison(0)
    with qtbot.waitSignal(controller.ended):
        converter.go.set()
    assert page.comparison.name == "a.png"


def test_what_the_pictures_show_follows_the_direction_until_they_are_converted(page, controller, pictures, qtbot):
    page.show()
    add(qtbot, controller, pictures)
    controller.show_comparison(0)
    assert page.comparison.view.captions == ("Apples", "Oranges")
    controller.set_direction("b2a")
    assert page.comparison.view.captions == ("Oranges", "Apples")
    convert(qtbot, controller)
    controller.show_comparison(0)
    controller.set_direction("a2b")
    assert page.comparison.view.captions == ("Oranges", "Apples")


def test_failures_can_be_listed_alone(page, controller, pictures, qtbot):
    add(qtbot, controller, pictures)
    convert(qtbot, controller)
    only = page.findChild(object, "convert_failed_only")
    assert only.isVisibleTo(page)
    only.click()
    assert page.list.files.rowCount() == 1
    assert page.comparison.name == "bad.png"
    only.click()
    assert page.list.files.rowCount() == 4
