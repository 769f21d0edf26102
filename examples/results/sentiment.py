"""Sentences of four origins with their mood, as one csv file: tweets, films, products, news.

pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
python examples/results/sentiment.py vaderSentiment-3.3.2.tar.gz sentiment.csv

The sentences were rated by people (Hutto, Gilbert, VADER, ICWSM 2014); those rated at least half a
point from neutral are kept, and as many bad ones as good ones of each origin.
"""

import csv
import random
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
ORIGINS = {
    "films": "movieReviewSnippets",
    "news": "nytEditorialSnippets",
    "products": "amazonReviewSnippets",
    "tweets": "tweets",
}
CLEAR = 0.5
MOST = 1200
"""Sentences of one origin and mood."""


def rated(archive: Path, name: str) -> Iterator[tuple[str, float]]:
    """Each sentence and its mean rating."""
    with tarfile.open(archive) as outer, tarfile.open(fileobj=outer.extractfile(ARCHIVE)) as inner:
        member = inner.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
        for line in member.read().decode("utf-8", "replace").splitlines():
            _, rating, text = line.split("\t")[:3]
            yield text.strip(), float(rating)


def main(archive: Path, out: Path) -> None:
    """Write the csv file."""
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label", "domain"])
        for origin, name in ORIGINS.items():
            moods: dict[str, list[str]] = {"bad": [], "good": []}
            for text, rating in rated(archive, name):
                if abs(rating) >= CLEAR:
                    moods["good" if rating > 0 else "bad"].append(text)
            count = min(MOST, *map(len, moods.values()))
            for mood, texts in moods.items():
                random.Random(0).shuffle(texts)
                writer.writerows([text, mood, origin] for text in texts[:count])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
