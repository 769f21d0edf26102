"""python -m bench.reliability [--quick] [NAME ...]: campaigns, their table; 1 if one broke."""

import argparse
import tempfile
import time
from pathlib import Path

from bench.table import Table

from . import campaigns


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.reliability", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of campaigns; all by default")
    parser.add_argument("--quick", action="store_true", help="few cases of each")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(campaigns.CAMPAIGNS):
        parser.error(f"no campaign {', '.join(sorted(unknown))}: {', '.join(campaigns.CAMPAIGNS)}")
    rows: list[tuple[str, str, str, str]] = []
    broken: list[str] = []
    for name, campaign in campaigns.CAMPAIGNS.items():
        if arguments.names and name not in arguments.names:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="stockpot-") as work:
            for row in campaign(Path(work), arguments.quick):
                rows.append((row.promise, row.how, f"{row.tried:,}", f"{row.held:,}"))
                broken += [f"{row.promise}: {case}" for case in row.broken[:5]]
                if row.held != row.tried and not row.broken:
                    broken.append(f"{row.promise}: {row.tried - row.held} of {row.tried}")
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    print(Table("Reliability", ("promise", "how", "tried", "held"), rows).markdown())
    for case in broken:
        print(f"BROKEN {case}")
    return bool(broken)


if __name__ == "__main__":
    raise SystemExit(main())
