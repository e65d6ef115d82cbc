"""Two-stage violence detection: videos become features once, then classifiers train in minutes."""

__version__ = "0.1.0"
