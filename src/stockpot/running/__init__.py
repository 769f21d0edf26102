"""Running tasks at once: executors, and the settings of the C library that decide their speed."""
