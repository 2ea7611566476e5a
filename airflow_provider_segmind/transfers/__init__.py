"""Transfers between Segmind and object storage."""
