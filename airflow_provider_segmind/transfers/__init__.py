"""Transfers: results to object storage."""
