"""What was found: rows, differences, costs and facts of a comparison, as frozen values."""
