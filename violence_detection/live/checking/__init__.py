"""Checks before a watch: cameras, this machine, and the service that runs it."""
