"""The networks of an experiment: what each is made of, in what order, in which files."""
