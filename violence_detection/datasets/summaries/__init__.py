"""Summaries of videos, their perceptual hashes, and what these tell."""
