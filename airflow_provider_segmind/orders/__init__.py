"""Orders that are paid for once: their records, their placing, and the rules that they must meet."""
