"""Tasks that order."""
