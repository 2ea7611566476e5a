"""Find out what the service really does, with a live key and at most one order."""
