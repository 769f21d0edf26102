"""What a fit may add: penalties, in-model merging, averages along the way."""
