"""`python -m stockpot` is the command line."""

from .cli import main

main()
