"""Compares two games move by move."""
