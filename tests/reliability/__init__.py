"""The proof of reliability: which faults are tried by which tests, what they recorded, and the table made of it."""
