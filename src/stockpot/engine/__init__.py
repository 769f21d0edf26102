"""Running a plan: passes, bytes and memory first, then threads within a budget."""
