"""The command line: one file for each command, which parses options, calls and prints.

In: arguments, environment, signals. Out: text or one JSON document, and an exit code.
"""
