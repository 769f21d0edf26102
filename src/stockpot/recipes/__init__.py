"""What is merged with what: the recipe, its YAML, its rules, and what they say of each tensor."""
