"""Positions with known values, and searches that must find them."""
