"""Lists on the command line: between commas, between spaces, or both."""

from collections.abc import Sequence
from pathlib import Path

WORDS = frozenset({"--methods", "--views", "--domains", "--roles", "--curves", "--perturb"})
"""Flags that take a list of words; numbers are a list after any flag."""


def with_commas(tokens: Sequence[str]) -> list[str]:
    """The command line with every list as one word, its values between commas.

    Numbers that follow a number after a flag are of its list, negative ones too; a number that is
    also a file is a file. Words are of a list after the flags in `WORDS`, up to a path.

    Example:
        >>> with_commas("merge average --weights 0.7 -0.3 a b --seed 1".split())
        ['merge', 'average', '--weights', '0.7,-0.3', 'a', 'b', '--seed', '1']
        >>> with_commas(["compare", "--methods", "ties,", "average", "e.yml"])
        ['compare', '--methods', 'ties,average', 'e.yml']
        >>> with_commas(["--quiet", "--curves", "none"])
        ['--quiet', '--curves', 'none']
    """
    joined: list[str] = []
    flag, in_list = "", False
    for token in tokens:
        is_flag = token.startswith("--")
        if in_list and not is_flag and _goes_on(flag, joined[-1].rpartition("=")[2], token):
            joined[-1] = f"{joined[-1].rstrip(',')},{token.strip(',')}"
            continue
        name, _, value = token.partition("=")
        in_list = bool(value) if is_flag else bool(joined) and joined[-1] == flag
        flag = name if is_flag else flag
        joined.append(token)
    return joined


def _goes_on(flag: str, before: str, token: str) -> bool:
    """Whether a word is of the list that stands before it."""
    if Path(token[:200]).exists():
        return False
    if flag in WORDS:
        return not ("/" in token or Path(token).suffix or token.startswith("-"))
    return _are_numbers(before) and _are_numbers(token)


def _are_numbers(text: str) -> bool:
    try:
        return bool([float(part) for part in text.strip(",").split(",")])
    except ValueError:
        return False
