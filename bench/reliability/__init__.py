"""What stockpot promises about files, tried many times: `python -m bench.reliability`.

A campaign is a function in a module of its own: it tries one kind of harm and says how often the
promise held. `CAMPAIGNS` names them all; docs/reliability.md shows the table that they print.
"""
