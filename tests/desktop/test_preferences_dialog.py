from __future__ import annotations

from PySide6.QtWidgets import QCheckBox

from cyclegan_desktop.preferences_dialog import PreferencesDialog
from cyclegan_desktop.settings import Settings


def test_what_is_changed_is_kept_at_once(qtbot, settings):
    dialog = PreferencesDialog(settings)
    qtbot.addWidget(dialog)
    awake, sound = (dialog.findChild(QCheckBox, name) for name in ("keep_awake", "sound_when_done"))
    assert awake.isChecked() and not sound.isChecked()
    with qtbot.waitSignal(dialog.changed):
        awake.click()
    sound.click()
    saved = Settings.load(settings.path)
    assert (saved.keep_awake, saved.sound_when_done) == (False, True)
