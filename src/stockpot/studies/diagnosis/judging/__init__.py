"""From what was found of models to a verdict, its reasons, and what to do first."""
