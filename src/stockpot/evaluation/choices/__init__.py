"""What is chosen on the selection split: members, weights, fields, and what to do."""
