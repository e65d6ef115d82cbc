"""Drawn videos, feature caches and trained runs that tests of several packages use."""
