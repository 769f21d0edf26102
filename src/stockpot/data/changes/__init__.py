"""Images changed: corruptions, views that make a task of their own, random changes in training."""
