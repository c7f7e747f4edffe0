"""Settings of a new run that fit its game, its machine and its planned length.

In: what is known of the three, and what a person, a file or a preset has set. Out: the settings
that are left to choose, and why. Pure: what is measured, `selfplay.runtime.facts` measures.
"""

from selfplay.settings.fitting.facts import GameFacts as GameFacts
from selfplay.settings.fitting.facts import MachineFacts as MachineFacts
from selfplay.settings.fitting.fit import Fit as Fit
from selfplay.settings.fitting.fit import fit as fit
from selfplay.settings.fitting.fitted import fitted as fitted
