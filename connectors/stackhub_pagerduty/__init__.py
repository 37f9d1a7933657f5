"""PagerDuty: alerts that page people."""
