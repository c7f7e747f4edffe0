"""Reports: the logic of one-shot commands such as status, doctor, bench, tune and export.

In: a run, a game or this machine. Out: a document, a picture or a file; no run is changed.
"""
