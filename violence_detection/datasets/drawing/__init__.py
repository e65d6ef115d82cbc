"""Synthetic clips and footage for the offline demo."""
