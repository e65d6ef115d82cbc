"""Sphinx' settings for `scripts/site`: the README and the guides as they are, as one web site."""

project = "violence-detection"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md"]
exclude_patterns = [".*", "build"]
html_theme = "furo"
myst_heading_anchors = 4  # levels of headings that links may name, as on GitHub
suppress_warnings = ["toc.not_included"]

_NAVIGATION = """

```{toctree}
:hidden:
:glob:

docs/*
CONTRIBUTING
CHANGELOG
```
"""


def setup(app):
    """Adds the navigation to the README, which has none of its own."""

    def add_navigation(app, page, source):
        if page == root_doc:
            source[0] += _NAVIGATION

    app.connect("source-read", add_navigation)
