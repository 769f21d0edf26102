"""The files that data sets are made of, read as the work of strangers: pictures, tables, texts."""
