"""The trained models and runs known to the app."""
