"""What people name as a model that is none, or only a part of one: recognised, with the way out."""
