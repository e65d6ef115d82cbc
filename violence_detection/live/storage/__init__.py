"""The event store: its records, its one writer, its readers, its copies."""
