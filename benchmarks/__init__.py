"""Measurements. Nothing timed is asserted: each prints medians and ratios of what was run side by side."""
