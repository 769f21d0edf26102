"""The commands that merge checkpoints, look at them, and verify what was merged."""
