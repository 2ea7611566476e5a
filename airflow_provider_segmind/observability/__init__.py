"""What other programs are told about swaps: metrics, lineage and asset events."""
