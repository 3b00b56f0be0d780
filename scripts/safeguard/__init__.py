"""The data that the built-in safeguard is tuned and measured on; run through scripts/build_safeguard_data.py."""
