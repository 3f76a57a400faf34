"""Dropping pictures and getting them converted."""
