"""Output for readers: HTML reports, figures, model card, console text."""
