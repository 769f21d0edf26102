"""Protocol: what each part of a published way of testing does to the columns."""
