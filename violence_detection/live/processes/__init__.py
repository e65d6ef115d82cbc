"""The processes of a watch as they see each other: their start and end, and their messages."""
