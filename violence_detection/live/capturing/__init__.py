"""Capture of one camera, in a process of its own: packets, windows, clips and pictures."""
