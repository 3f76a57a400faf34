"""A Models page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

# These are imported in the fixtures only: pytest reads this file also where Qt cannot be.
if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from cyclegan_desktop.library.page import LibraryPage


@pytest.fixture
def page(qapp: QApplication) -> Iterator[LibraryPage]:
    """Lives on until the controllers are closed, as in the app; pytest-qt would destroy it before that."""
    from cyclegan_desktop.library.page import LibraryPage

    page = LibraryPage()
    page.show()
    yield page
    page.close()
    page.deleteLater()
