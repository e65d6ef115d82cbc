"""The figures are tested here."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def figures_are_blank():
    """Not here."""
