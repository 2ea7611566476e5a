"""Batches of any number of swaps in one task: plan, ordering, waits, files and checks."""
