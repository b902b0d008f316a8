"""So many in a minute, and then there is room again."""

from projectone.server.api.quotas import MovingWindow


def test_a_window_lets_so_many_through_and_says_when_there_is_room() -> None:
    now = [100.0]
    window = MovingWindow(2, lambda: now[0])
    assert window.take("a") is None
    now[0] = 130.0
    assert window.take("a") is None
    assert window.take("a") == 30.0
    assert window.take("b") is None
    now[0] = 160.1
    assert window.take("a") is None
    assert window.take("a") is not None


def test_a_look_counts_for_nothing() -> None:
    window = MovingWindow(1, lambda: 0.0)
    assert window.take("a", is_counted=False) is None
    assert window.take("a") is None
    assert window.take("a", is_counted=False) == 60.0


def test_keys_are_forgotten_rather_than_kept_for_ever() -> None:
    window = MovingWindow(1, lambda: 0.0)
    for number in range(10_001):
        window.take(str(number))
    assert window.take("0") is None
    assert window.take("10000") == 60.0
