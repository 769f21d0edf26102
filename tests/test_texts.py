"""Text of strangers is shown as it is, and obeyed by nothing."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from stockpot.texts import csv_text, visible, visible_json

SENT = "\x1b\x07\x08\x9b\r\x7f\u202e\u2066\u200b\u2028\ud800"


@given(st.text(st.characters() | st.sampled_from(SENT)))
def test_every_character_is_seen_and_seen_once(text: str) -> None:
    shown = visible(text, keep="")
    assert not set(shown) & set(SENT + "\n\t")
    assert visible(shown, keep="") == shown
    if not set(text) & set("\\"):
        assert shown.encode("latin1", "backslashreplace").decode("unicode_escape") == text


def test_ordinary_text_stays() -> None:
    for text in ("layers.0.weight", "λ × é 模型 🍲", "a\nb\tc"):
        assert visible(text) == text
    assert visible("a\x1b[2Jb\nc", keep="") == "a\\x1b[2Jb\\nc"


@given(st.dictionaries(st.text(), st.text(st.characters() | st.sampled_from(SENT))))
def test_json_is_what_it_was(value: dict[str, str]) -> None:
    shown = visible_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert not set(shown) & set(SENT)


def test_a_cell_is_no_formula_and_a_number_stays_one() -> None:
    cells = ["=1+1", "+x", "-x", "@a", "\ta", "-1.5", "+2e3", "a=b", "", -0.5, None, 3]
    text = csv_text(["=n"], [{"=n": cell} for cell in cells])
    read = [row[0] if row else "" for row in csv.reader(io.StringIO(text, newline=""))]
    wanted = ["'=n", "'=1+1", "'+x", "'-x", "'@a", "'\ta", "-1.5", "+2e3", "a=b"]
    assert read == [*wanted, "", "-0.5", "", "3"]
