"""Programs that measure: each starts its own server, runs all variants interleaved, and prints medians and ratios."""
