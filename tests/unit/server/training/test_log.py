import json
from pathlib import Path

from projectone.server.training.log import TrainingLog, last_run


def write(path: Path, *events: tuple[str, dict[str, object]]) -> list[tuple[str, object]]:
    log = TrainingLog(path, lambda: 0.0)
    for event, facts in events:
        log.write(event, **facts)
    return [(e["event"], e.get("step", e.get("alpha"))) for e in last_run(path)]


def test_a_step_taken_again_after_a_kill_counts_once(tmp_path: Path) -> None:
    told = write(
        tmp_path / "log",
        ("start", {}),
        ("judged", {"step": 0}),
        *(("step", {"step": step}) for step in (1, 2, 3, 4)),
        ("judged", {"step": 3}),
        ("resume", {"step": 2}),
        *(("step", {"step": step}) for step in (3, 4)),
        ("judged", {"step": 3}),
    )
    steps = [step for event, step in told if event == "step"]
    assert steps == [1, 2, 3, 4]
    assert [step for event, step in told if event == "judged"] == [0, 3]


def test_steps_given_up_after_bad_numbers_do_not_count(tmp_path: Path) -> None:
    told = write(
        tmp_path / "log",
        ("start", {}),
        *(("step", {"step": step}) for step in (1, 2, 3)),
        ("rollback", {"failed_step": 4, "back_to": 2, "reason": "loss nan"}),
        *(("step", {"step": step}) for step in (3, 4)),
    )
    assert [step for event, step in told if event == "step"] == [1, 2, 3, 4]
    assert [event for event, _ in told].count("rollback") == 1


def test_shares_tried_before_a_kill_are_tried_again(tmp_path: Path) -> None:
    told = write(
        tmp_path / "log",
        ("start", {}),
        ("step", {"step": 1}),
        ("alpha", {"alpha": 1.0}),
        ("resume", {"step": 1}),
        ("alpha", {"alpha": 1.0}),
        ("alpha", {"alpha": 0.5}),
    )
    assert [share for event, share in told if event == "alpha"] == [1.0, 0.5]


def test_only_the_last_run_counts_and_half_a_line_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(
        json.dumps({"event": "start"}) + "\n" + json.dumps({"event": "step", "step": 1}) + '\n{"event": "st\n'
    )
    assert write(path, ("start", {}), ("step", {"step": 1})) == [("start", None), ("step", 1)]
