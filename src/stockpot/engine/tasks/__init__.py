"""What one worker does with one task of a plan: a function of the task, which shares nothing."""
