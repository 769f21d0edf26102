"""One round around a merge method: what is sent, learned, sorted out, merged and noted."""
