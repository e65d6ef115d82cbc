"""Decoders of video files, their containers, and the damage that they find."""
