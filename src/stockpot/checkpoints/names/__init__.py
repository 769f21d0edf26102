"""One network under several sets of names: what wrappers put into them, and how two sets differ."""
