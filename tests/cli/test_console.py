"""What long work says of itself where no terminal shows a bar."""

from stockpot.cli import console


def test_a_log_file_gets_a_line_a_minute(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(console, "monotonic", lambda: now[0])
    with console.steps(quiet=False) as tell:
        for seconds, done in ((59, 0.1), (60, 0.25), (90, 0.3), (125, 0.5)):
            now[0] = 100.0 + seconds
            tell("training pool 0 base", done)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [" 25% training pool 0 base", " 50% training pool 0 base"]
    assert not captured.out


def test_quiet_work_says_nothing():
    with console.steps(quiet=True) as tell:
        assert tell is None
