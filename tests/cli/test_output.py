"""What is printed is what was said: nothing is taken for markup, and a message is one line."""

import pytest

from tocsin.cli.output import emit_line, emit_table, say

BRACKETS = "data.train=[x.csv] needs tocsin[train]"


def test_brackets_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    say(BRACKETS)
    emit_line(BRACKETS)
    emit_table("t", ["what"], [[BRACKETS]])
    said = capsys.readouterr()
    assert said.err == BRACKETS + "\n"
    assert said.out.count("[x.csv]") == said.out.count("[train]") == 2


def test_a_long_message_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("word " * 100)
    assert len(capsys.readouterr().err.splitlines()) == 1
