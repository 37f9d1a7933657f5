"""Slack: one live message for each problem."""
