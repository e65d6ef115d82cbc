"""Delivery of stored messages to sinks."""
