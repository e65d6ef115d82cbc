"""Results of cross-validations and of their comparison, as texts and pages."""
