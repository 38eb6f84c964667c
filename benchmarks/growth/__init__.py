"""How time and memory grow: with the rows of a tuning, with what a runtime keeps, and with the length of a prompt."""
