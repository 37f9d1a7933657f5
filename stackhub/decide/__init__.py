"""What becomes of things: pure functions from what is known to what changes."""
