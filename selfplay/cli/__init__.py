"""The command line: one file for each command, which parses, calls other rooms and prints.

In: arguments, environment, signals. Out: text or one JSON document, and an exit code.
"""
