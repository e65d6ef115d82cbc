"""What a person reads: HTML, figures, model card, console text."""
