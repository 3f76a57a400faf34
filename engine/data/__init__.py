"""Pictures: finding them, reading and writing them, and serving them unpaired."""
