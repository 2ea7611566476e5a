"""What this package reports to other systems: metrics, lineage and asset events."""
