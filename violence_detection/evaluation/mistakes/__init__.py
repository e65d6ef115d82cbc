"""Frames and conditions of the videos that a run gets wrong."""
