"""Orders, each paid for only once: their records, their placing, and the rules for them."""
