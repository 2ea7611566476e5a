"""What waits in a triggerer, and how it tells the task."""
