"""TODO judges."""
