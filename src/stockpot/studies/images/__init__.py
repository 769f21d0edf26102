"""Templates: weights as images, beside the means of the classes."""
