"""The desktop app: it shows and asks; the work is the engine's."""
