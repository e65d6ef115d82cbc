"""Reads a cameras file: its records, every error with its place, its passwords."""
