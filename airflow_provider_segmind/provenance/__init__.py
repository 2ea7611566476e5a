"""Say in a picture's own metadata that a model made part of it."""
