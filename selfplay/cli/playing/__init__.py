"""Commands about games: check, play, analyse, compete."""
