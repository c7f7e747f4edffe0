"""Names that files may have, and programs stumble over."""

ODD_NAMES = (
    "exp[1]",
    "[ab]*?",
    "a?b",
    "]",
    "with space ",
    "-dash",
    "--run",
    "tab\tand\nnewline",
    "%41",
    "mail@host",
    "run@12",
    "run:64",
    "run@12:64",
    "#hash",
    "it's",
    '"quoted"',
    "back\\slash",
    "$HOME",
    "{a,b}",
    "~",
    "...",
    "größe",
    "\u5bfe\u5c40 \N{GAME DIE}",
)

ODDEST_NAME = "-a[1]?* b\t\n%41'\"#\\{c,d}$e~\u00e9@3:64"
"""Most of it at once."""
