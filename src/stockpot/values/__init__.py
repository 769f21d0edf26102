"""What a user chooses is a frozen, bounded value: its fields, plain data, and family by name."""
