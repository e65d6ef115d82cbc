"""Extraction: the features of a folder of videos, on one machine or several."""
