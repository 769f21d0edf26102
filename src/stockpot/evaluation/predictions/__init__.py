"""What networks say about samples: run once on each split and view, joined to ensembles."""
