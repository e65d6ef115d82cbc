"""The supervisor of a watch, and the parts that are common to all cameras."""
