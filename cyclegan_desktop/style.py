"""How everything looks: one spacing scale, one accent colour, light and dark.

`apply_style` gives the application its style and follows the system from then on. A widget that draws by itself takes
its colours from `colours()` and draws anew on `QEvent.Type.PaletteChange`, which every change of scheme sends.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QDir, Qt
from PySide6.QtGui import QColor, QFontInfo, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from cyclegan_desktop.first_colour import DARK_WINDOW, LIGHT_WINDOW
from cyclegan_desktop.resource_files import resources_folder

# The spacing scale, in device-independent pixels. Layouts use no other numbers.
XS, S, M, L, XL = 4, 8, 12, 16, 24
RADIUS = 8

ACCENT = "#2a72d4"
"""The one accent colour: primary buttons, progress, selection, drop targets under a drag. White on it reads well."""
DANGER = "#d64545"
SUCCESS = "#2e9e5b"
WARNING = "#b7791f"


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours of one scheme, as "#rrggbb".

    Attributes:
        window: Behind everything.
        surface: Cards, lists and panels upon the window.
        field: Where something is typed or chosen.
        hover: A surface under the pointer.
        border: Thin lines around surfaces.
        outline: The line around a field or button, strong enough to find it by.
        text: Words.
        muted: Words that are an aside.
        disabled: Words that cannot be used now.
        accent_text: The accent colour as words or lines upon a surface.
        accent_soft: A surface tinted with the accent: a selection, a target under a drag.
        accent_hover: A surface under the pointer that can be pressed, less tinted.
        danger: Words about an error.
        warning: Words about something to look at.
        picture: Around pictures, neutral so as to change no colour beside it.
    """

    window: str
    surface: str
    field: str
    hover: str
    border: str
    outline: str
    text: str
    muted: str
    disabled: str
    accent_text: str
    accent_soft: str
    accent_hover: str
    danger: str
    warning: str
    picture: str


LIGHT = Colours(
    window=LIGHT_WINDOW,
    surface="#ffffff",
    field="#ffffff",
    hover="#eceff4",
    border="#dde1e8",
    outline="#c3cad5",
    text="#1c2330",
    muted="#5d6778",
    disabled="#a2a9b5",
    accent_text="#1f63c0",
    accent_soft="#e3edfb",
    accent_hover="#f1f6fd",
    danger="#c03333",
    warning="#946014",
    picture="#e4e6ea",
)
DARK = Colours(
    window=DARK_WINDOW,
    surface="#22262e",
    field="#1b1f26",
    hover="#2c313b",
    border="#333944",
    outline="#48505e",
    text="#e7eaf0",
    muted="#9ca5b4",
    disabled="#666e7b",
    accent_text="#79aef5",
    accent_soft="#243a5a",
    accent_hover="#232f42",
    danger="#f28b8b",
    warning="#e6b45c",
    picture="#14161a",
)


def is_dark() -> bool:
    """Whether the system asks for dark windows now."""
    return QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark


def colours() -> Colours:
    """The colours of the scheme shown now."""
    palette = QGuiApplication.palette()
    return DARK if palette.color(QPalette.ColorRole.Window) == QColor(DARK.window) else LIGHT


def apply_style(app: QApplication) -> None:
    """Give the application its look, light or dark as the system has it, now and whenever that changes."""
    # Native styles draw wrongly under a style sheet, each in its own way.
    app.setStyle(QStyleFactory.create("Fusion"))
    # A name instead of a path, which may hold quotes and other characters that a style sheet trips over.
    QDir.setSearchPaths("style", [str(resources_folder() / "style")])
    use_colours(app, DARK if is_dark() else LIGHT)
    app.styleHints().colorSchemeChanged.connect(lambda _scheme: use_colours(app, DARK if is_dark() else LIGHT))


def use_colours(app: QApplication, scheme: Colours) -> None:
    """Show everything in these colours, live."""
    app.setPalette(_palette(scheme))
    app.setStyleSheet(_style_sheet(scheme, QFontInfo(app.font()).pointSizeF()))


def _palette(scheme: Colours) -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    for which, colour in {
        role.Window: scheme.window,
        role.WindowText: scheme.text,
        role.Base: scheme.surface,
        role.AlternateBase: scheme.hover,
        role.Text: scheme.text,
        role.Button: scheme.surface,
        role.ButtonText: scheme.text,
        role.BrightText: "#ffffff",
        role.ToolTipBase: scheme.surface,
        role.ToolTipText: scheme.text,
        role.PlaceholderText: scheme.muted,
        role.Highlight: ACCENT,
        role.HighlightedText: "#ffffff",
        role.Accent: ACCENT,
        role.Link: scheme.accent_text,
        role.LinkVisited: scheme.accent_text,
        role.Light: scheme.hover,
        role.Midlight: scheme.border,
        role.Mid: scheme.outline,
        role.Dark: scheme.outline,
        role.Shadow: scheme.border,
    }.items():
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText, role.PlaceholderText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(scheme.disabled))
    palette.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(scheme.outline))
    return palette


def _style_sheet(c: Colours, points: float) -> str:
    """The one style sheet. `points` is the size of the system's font, from which the other sizes follow."""
    title, heading, small = (f"{points * factor:.1f}pt" for factor in (1.55, 1.1, 0.92))
    return f"""
QLabel[role="title"] {{ font-size: {title}; font-weight: 600; }}
QLabel[role="heading"] {{ font-size: {heading}; font-weight: 600; }}
QLabel[role="muted"] {{ color: {c.muted}; }}
QLabel[role="error"] {{ color: {c.danger}; }}
QLabel[role]:disabled {{ color: {c.disabled}; }}

QFrame[card="true"] {{ background: {c.surface}; border: 1px solid {c.border}; border-radius: {RADIUS}px; }}

QPushButton {{
    background: {c.surface}; color: {c.text}; border: 1px solid {c.outline}; border-radius: 6px;
    padding: 6px 14px; min-height: 18px;
}}
QPushButton:hover {{ background: {c.hover}; }}
QPushButton:pressed {{ background: {c.border}; }}
QPushButton:focus {{ border: 2px solid {ACCENT}; padding: 5px 13px; }}
QPushButton:checked {{ background: {c.accent_soft}; border-color: {ACCENT}; }}
QPushButton:disabled {{ color: {c.disabled}; border-color: {c.border}; background: {c.window}; }}
QPushButton:checked:disabled {{ color: {c.muted}; background: {c.border}; }}
QPushButton[primary="true"] {{ background: {ACCENT}; color: white; border-color: {ACCENT}; font-weight: 600; }}
QPushButton[primary="true"]:hover {{ background: #3b82e2; border-color: #3b82e2; }}
QPushButton[primary="true"]:pressed {{ background: #215fb5; border-color: #215fb5; }}
QPushButton[primary="true"]:focus {{ border-color: {c.text}; }}
QPushButton[primary="true"]:disabled {{ background: {c.border}; color: {c.disabled}; border-color: {c.border}; }}
QPushButton::menu-indicator {{
    image: url(style:chevron-down.svg); width: 12px; height: 12px;
    subcontrol-origin: padding; subcontrol-position: center right; right: 8px;
}}

QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}

QToolButton {{ border: 1px solid transparent; border-radius: 6px; padding: {XS}px; color: {c.text}; }}
QToolButton:hover {{ background: {c.hover}; }}
QToolButton:pressed {{ background: {c.border}; }}
QToolButton:checked {{ background: {c.accent_soft}; }}
QToolButton:focus {{ border-color: {ACCENT}; }}
QToolButton:disabled {{ color: {c.disabled}; }}
QToolButton::menu-indicator {{ image: none; width: 0; }}

QAbstractScrollArea {{ border: none; }}
QPlainTextEdit, QTextEdit {{ padding: {XS}px; }}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit, QTextEdit {{
    background: {c.field}; color: {c.text}; border: 1px solid {c.outline}; border-radius: 6px;
    selection-background-color: {ACCENT}; selection-color: white;
}}
QLineEdit, QComboBox {{ padding: 4px 8px; min-height: 22px; }}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus, QPlainTextEdit:focus, QTextEdit:focus {{
    border-color: {ACCENT};
}}
QLineEdit[invalid="true"], QSpinBox[invalid="true"], QDoubleSpinBox[invalid="true"], QComboBox[invalid="true"] {{
    border-color: {DANGER};
}}
QLabel[changed="true"] {{ font-weight: 600; }}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {{
    color: {c.disabled}; background: {c.window}; border-color: {c.border};
}}
QComboBox::drop-down {{ border: none; width: 24px; subcontrol-origin: padding; subcontrol-position: center right; }}
QComboBox::down-arrow {{ image: url(style:chevron-down.svg); width: 14px; height: 14px; }}
QComboBox QAbstractItemView {{
    background: {c.surface}; color: {c.text}; border: 1px solid {c.outline}; padding: {XS}px; outline: none;
    selection-background-color: {c.accent_soft}; selection-color: {c.text};
}}
QSpinBox, QDoubleSpinBox {{ padding: 4px 24px 4px 0; min-height: 22px; max-height: 22px; }}
QSpinBox::up-button, QDoubleSpinBox::up-button {{
    subcontrol-origin: border; subcontrol-position: top right; width: 22px; border: none;
}}
QSpinBox::down-button, QDoubleSpinBox::down-button {{
    subcontrol-origin: border; subcontrol-position: bottom right; width: 22px; border: none;
}}
QSpinBox::up-button:hover, QDoubleSpinBox::up-button:hover,
QSpinBox::down-button:hover, QDoubleSpinBox::down-button:hover {{ background: {c.hover}; border-radius: 5px; }}
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow {{ image: url(style:chevron-up.svg); width: 10px; height: 10px; }}
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow {{ image: url(style:chevron-down.svg); width: 10px; height: 10px; }}

QCheckBox, QRadioButton {{ spacing: {S}px; padding: 2px; border: 1px solid transparent; border-radius: {XS}px; }}
QCheckBox:focus, QRadioButton:focus {{ border-color: {ACCENT}; }}
QCheckBox:disabled, QRadioButton:disabled {{ color: {c.disabled}; }}
QCheckBox::indicator, QRadioButton::indicator, QAbstractItemView::indicator {{
    width: 14px; height: 14px; border: 1px solid {c.outline}; background: {c.field};
}}
QCheckBox::indicator, QAbstractItemView::indicator {{ border-radius: 4px; }}
QRadioButton::indicator {{ border-radius: 8px; }}
QCheckBox::indicator:hover, QRadioButton::indicator:hover {{ border-color: {ACCENT}; }}
QCheckBox::indicator:checked, QAbstractItemView::indicator:checked {{
    background: {ACCENT}; border-color: {ACCENT}; image: url(style:check.svg);
}}
QRadioButton::indicator:checked {{ background: {ACCENT}; border-color: {ACCENT}; image: url(style:dot.svg); }}
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled {{ border-color: {c.border}; background: {c.window}; }}
QCheckBox::indicator:checked:disabled, QRadioButton::indicator:checked:disabled {{ background: {c.outline}; }}

QTabWidget::pane {{ border: none; padding-top: {S}px; }}
QTabBar {{ font-weight: 600; }}
QTabBar::tab {{
    background: transparent; color: {c.muted}; border: none; border-bottom: 2px solid transparent;
    padding: {XS}px {S}px; margin-right: {S}px;
}}
QTabBar::tab:hover {{ color: {c.text}; }}
QTabBar::tab:selected {{ color: {c.accent_text}; border-bottom-color: {ACCENT}; }}
QTabBar::tab:focus {{ background: {c.accent_soft}; border-radius: {XS}px; }}

QProgressBar {{ background: {c.border}; border: none; border-radius: {XS}px; max-height: 8px; min-height: 8px; }}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: {XS}px; }}

QSlider:horizontal {{ min-height: 18px; }}
QSlider::groove:horizontal {{ height: 4px; background: {c.border}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {ACCENT}; border-radius: 2px; }}
QSlider::sub-page:horizontal:disabled {{ background: {c.outline}; }}
QSlider::handle:horizontal {{
    width: 12px; height: 12px; margin: -6px 0; border-radius: 8px;
    background: {c.surface}; border: 2px solid {ACCENT};
}}
QSlider::handle:horizontal:hover {{ background: {c.accent_soft}; }}
QSlider::handle:horizontal:focus {{ background: {ACCENT}; }}
QSlider::handle:horizontal:disabled {{ border-color: {c.outline}; }}

QAbstractItemView {{
    background: {c.surface}; color: {c.text}; border: 1px solid {c.border}; border-radius: {RADIUS}px; outline: none;
    alternate-background-color: {c.hover};
}}
QAbstractItemView::item:hover {{ background: {c.hover}; }}
QAbstractItemView::item:selected {{ background: {c.accent_soft}; color: {c.text}; }}
QAbstractItemView:focus {{ border-color: {ACCENT}; }}
QHeaderView {{ border: none; border-radius: 0; background: transparent; }}
QHeaderView::section {{
    background: transparent; color: {c.muted}; border: none; border-bottom: 1px solid {c.border}; padding: 6px 8px;
}}
QTableCornerButton::section {{ background: transparent; border: none; }}

QScrollBar:vertical {{ background: transparent; width: 12px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 0; }}
QScrollBar::handle {{ background: {c.outline}; border-radius: 4px; margin: 2px; }}
QScrollBar::handle:vertical {{ min-height: 32px; }}
QScrollBar::handle:horizontal {{ min-width: 32px; }}
QScrollBar::handle:hover {{ background: {c.muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}

QSplitter::handle {{ background: transparent; }}
QSplitter::handle:hover {{ background: {c.border}; }}

QToolTip {{ background: {c.surface}; color: {c.text}; border: 1px solid {c.outline}; padding: {XS}px; }}
QMenu {{ background: {c.surface}; color: {c.text}; border: 1px solid {c.outline}; padding: {XS}px; }}
QMenu::item {{ padding: 6px {XL}px 6px {M}px; border-radius: {XS}px; }}
QMenu::item:selected {{ background: {c.accent_soft}; }}
QMenu::item:disabled {{ color: {c.disabled}; }}
QMenu::separator {{ height: 1px; background: {c.border}; margin: {XS}px {S}px; }}
QGroupBox {{ border: 1px solid {c.border}; border-radius: {RADIUS}px; margin-top: {L}px; padding: {S}px; }}
QGroupBox::title {{ subcontrol-origin: margin; left: {M}px; padding: 0 {XS}px; color: {c.muted}; }}

#navigation {{ background: {c.surface}; border: none; border-right: 1px solid {c.border}; }}
#navigation QToolButton {{ padding: {S}px 0; font-size: {small}; color: {c.muted}; }}
#navigation QToolButton:checked {{ color: {c.accent_text}; font-weight: 600; }}
"""
