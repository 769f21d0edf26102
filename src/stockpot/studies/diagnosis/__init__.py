"""Will it merge: what weights tell of it, and a forecast whose error is measured."""
