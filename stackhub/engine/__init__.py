"""The loops: what moves runs along. Everything that must not be forgotten is a row; any line may be the last."""
