"""Where the bytes of a computed tensor come from: each computes what is asked for, in a tile."""
