"""Pure tensor steps that methods are made of; each is public here and tested alone."""
