"""A line of the list of models: what an item holds, and how it is drawn."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPainterPath
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from cyclegan_desktop.icons import icon
from cyclegan_desktop.style import RADIUS, XL, XS, M, S, colours

ENTRY = Qt.ItemDataRole.UserRole
"""The `LibraryEntry` of an item."""

THUMBNAIL = Qt.ItemDataRole.UserRole + 1
"""Its picture, a QPixmap."""

STATE = Qt.ItemDataRole.UserRole + 2
"""Its second line, a str."""

_ROW_HEIGHT = 76
_THUMBNAIL_SIZE = QSize(96, 48)


class EntryDelegate(QStyledItemDelegate):
    """Draws a line of the list: thumbnail, names, state. It draws text as it is, never as rich text."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Every line is equally high."""
        return QSize(0, _ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw a line."""
        entry = index.data(ENTRY)
        thumbnail = index.data(THUMBNAIL)
        scheme = colours()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        row = option.rect.adjusted(XS, XS // 2, -XS, -XS // 2)
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if is_chosen or option.state & QStyle.StateFlag.State_MouseOver:
            path = QPainterPath()
            path.addRoundedRect(QRectF(row), RADIUS - 2, RADIUS - 2)
            painter.fillPath(path, QColor(scheme.accent_soft if is_chosen else scheme.hover))

        picture = QRect(QPoint(row.left() + S, 0), _THUMBNAIL_SIZE)
        picture.moveTop(row.center().y() - picture.height() // 2)
        frame = QPainterPath()
        frame.addRoundedRect(QRectF(picture), XS, XS)
        painter.fillPath(frame, QColor(scheme.picture))
        if thumbnail.isNull():
            symbol = QRect(0, 0, XL, XL)
            symbol.moveCenter(picture.center())
            name = "alert" if entry.kind in ("missing", "unreadable") else "models"
            icon(name, colour=QColor(scheme.muted)).paint(painter, symbol)
        else:
            painter.setClipPath(frame)
            painter.drawPixmap(picture, thumbnail)
            painter.setClipping(False)

        left = picture.right() + M
        words = QRect(left, row.top(), row.right() - left - S, row.height() // 2 - 1)
        bold = QFont(option.font)
        bold.setWeight(QFont.Weight.DemiBold)
        self._draw_line(painter, words, Qt.AlignmentFlag.AlignBottom, bold, scheme.text, index.data())
        words.moveTop(row.center().y() + XS)
        is_bad = entry.kind in ("missing", "unreadable")
        second = scheme.warning if is_bad else scheme.muted
        self._draw_line(painter, words, Qt.AlignmentFlag.AlignTop, option.font, second, index.data(STATE))
        painter.restore()

    def _draw_line(
        self, painter: QPainter, box: QRect, side: Qt.AlignmentFlag, font: QFont, colour: str, text: str
    ) -> None:
        painter.setFont(font)
        painter.setPen(QColor(colour))
        short = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, side | Qt.AlignmentFlag.AlignLeft, short)
