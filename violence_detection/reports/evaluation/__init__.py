"""The result of an evaluation, as text and as a page."""
