"""The laws that a game must keep, and the functions that test them."""
