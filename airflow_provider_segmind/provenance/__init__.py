"""Mark in a picture's metadata that a model made part of it."""
