"""Bundled games: one file each, written exactly as a user would write one."""
