"""The memory of swaps: object storage that many tasks read and write at once."""
