"""TODO cards."""
