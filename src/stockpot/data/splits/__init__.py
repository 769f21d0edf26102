"""Parts of a data set: train, selection and test, and fewer samples of it."""
