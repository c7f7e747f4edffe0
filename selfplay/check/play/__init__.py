"""Plays compiled games breadth-first and at random, with a twin of each match."""
