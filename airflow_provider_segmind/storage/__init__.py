"""Storing results: names, sidecars, signatures and thumbnails in object storage."""
