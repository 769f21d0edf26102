"""The commands that train and compare networks, study them, and show what came of it."""
