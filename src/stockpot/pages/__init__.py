"""The drawing kit: axes, figures as SVG, units, tables, and the one page that holds them."""
