"""Judgement of the windows of all cameras, in a process of its own."""
