"""What the Train page shows while it has no training; the window shows it before there is a page."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from cyclegan_desktop.style import L
from cyclegan_desktop.widgets import EmptyState


class Welcome(EmptyState):
    """Says what training is, and offers to begin one: `action`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("train", "", "", self.tr("&Start a training..."), parent)
        self.set_text(
            self.tr("Train on your own pictures"),
            self.tr(
                "Choose two folders of pictures, such as apples and oranges, or drop them here. The training learns "
                "to turn pictures of the one kind into the other, in both directions, and shows samples as it learns. "
                "To look at an earlier training, or to go on with it, choose it under Models."
            ),
        )


def welcome_page(welcome: Welcome) -> QWidget:
    """It as a page of its own, in the very place where the Train page shows it later."""
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(L, L, L, L)
    layout.addWidget(welcome)
    return page
