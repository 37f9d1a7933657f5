"""Shell: one job is one command."""
