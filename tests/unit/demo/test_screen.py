import io

import pytest

from projectone.demo.screen import Screen, layout_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_is_as_wide_as_it_must_be_with_numbers_to_the_right() -> None:
    lines = layout_table(("person", "sent"), [("ann", 7), ("cleopatra", 40)])
    assert lines == ["person     sent", "ann           7", "cleopatra    40"]
    assert layout_table(("person", "sent"), []) == ["person  sent"]


def test_acts_are_numbered_and_timed() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    for title in ("People", "A backend"):
        with screen.act(title):
            screen.say("something")
    assert [act.title for act in screen.acts] == ["People", "A backend"]
    assert [line for line in stream.getvalue().splitlines() if line[:1].isdigit()] == ["1  People", "2  A backend"]
    first, second = screen.acts
    assert second.started_s >= first.started_s + first.wall_s - 0.02


def test_an_act_that_breaks_is_not_told_as_done() -> None:
    screen = Screen(io.StringIO())
    with pytest.raises(RuntimeError), screen.act("People"):
        raise RuntimeError
    assert screen.acts == []


def test_a_file_gets_no_colours_and_a_terminal_does() -> None:
    plain, live = io.StringIO(), Terminal()
    for stream in (plain, live):
        screen = Screen(stream)
        with screen.act("People"):
            screen.good("well")
            screen.bad("not well")
    assert "\033[" not in plain.getvalue()
    assert "\033[1m" in live.getvalue()


def test_the_box_holds_its_longest_line() -> None:
    stream = io.StringIO()
    Screen(stream).box(["short", "", f"report   {'x' * 120}", "a sentence of many words " * 8])
    lines = [line for line in stream.getvalue().splitlines() if line]
    assert len({len(line) for line in lines}) == 1
    assert lines[0][0] == "╭"
    assert lines[-1][0] == "╰"


def test_a_count_is_seen_to_reach_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.demo.screen._KEPT_INTERVAL_S", 3_600.0)
    stream = io.StringIO()
    screen = Screen(stream)
    with screen.act("People"):
        for n_done in range(1, 19):
            screen.live(f"{n_done} of 18", is_last=n_done == 18)
    assert "18 of 18" in stream.getvalue()
    assert "17 of 18" not in stream.getvalue()
