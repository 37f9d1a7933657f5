"""Python: one job is one function or script."""
