"""Roles of people and scopes of programs on the review page."""

ROLES = ("viewer", "reviewer", "admin")  # each may do what the ones before it may
SCOPES = ("read", "review")
