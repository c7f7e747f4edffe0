"""Fixtures of the tests of runs: components that are compiled once."""

from tests.training.fixtures import compiled_once, new_run  # noqa: F401
