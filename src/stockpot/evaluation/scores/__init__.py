"""How right it is: metrics, and how far they vary over samples and pools."""
