"""Checks of a folder of videos, before extraction."""
