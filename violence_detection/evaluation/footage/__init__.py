"""Runs on long footage: false alarms an hour, events, and hard negatives."""
