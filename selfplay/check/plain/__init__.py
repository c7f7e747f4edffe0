"""Checks plain-Python games on the host, before anything is compiled.

In: a `PythonGame`. Out: faults with the moves that show them, warnings and measures.
"""
