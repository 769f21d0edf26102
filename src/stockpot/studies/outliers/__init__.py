"""Who moves a merge most, where, and who is unlike the others: from weights alone."""
