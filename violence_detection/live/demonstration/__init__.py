"""Demonstration of a watch with drawn cameras."""
