"""Watches many cameras: captures, scores, alerts, keeps and sends events."""
