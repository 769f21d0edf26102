"""What is compared with what: networks of one task, bodies of several, candidates."""
