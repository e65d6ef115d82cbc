"""The commands, one a file: its flags, what it runs, and how its result reads."""
