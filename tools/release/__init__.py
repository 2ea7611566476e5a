"""``make release-check``: whether what is committed can be released. Run it with ``python -m tools.release``."""
