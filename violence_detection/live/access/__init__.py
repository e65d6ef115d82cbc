"""Access to the review page: its address, users, roles, sessions and tokens."""
