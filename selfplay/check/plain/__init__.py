"""Checks plain-Python games on the host, before anything is compiled."""
