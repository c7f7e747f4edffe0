"""What `selfplay new-game` copies: complete tiny games, to be changed into others."""
