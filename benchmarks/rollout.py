"""Ten thousand simulated devices against the real API: who had a bad model before it was stopped.

Each part lets one release go out in stages, on a made-up clock: a good one; bad ones with a few kinds of harm. Then the
same decision is made over thousands of made-up releases without harm, to count how many are stopped.

    python benchmarks/rollout.py [--quick] [--json] [--devices N] [--null-runs N] [--only NAME]...
    python benchmarks/rollout.py --draw                          only the picture of docs/rollout.md
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fleet import HOUR_S, FalseClock, Fleet, Rates, Wire, release_of, serving

from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import percent_of
from projectone.server.database import Engine, open_engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.opening import role_keys
from projectone.server.delivery.publisher import Publisher
from projectone.server.delivery.roles import SIGNED, Lifetimes
from projectone.server.delivery.tickets import FOLDER, TicketKeys, Tickets
from projectone.server.monitoring.evidence import COMPARED, LIMITED, Limits, Tally
from projectone.server.monitoring.simulation import Fleet as MadeUp
from projectone.server.monitoring.simulation import failures, log_evidence_paths
from projectone.server.serve.initialise import ENROLMENT_CODE, initialise
from projectone.server.setting_values import rollout_stages
from projectone.server.settings import ServerSettings
from projectone.server.work.rollout_watch import RolloutWatch, new_plan

_Counts = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]

GOOD = Rates()
STAGES = "0:4,1:24,5:24,25:48,100"
LOOK_S = 0.25 * HOUR_S


@dataclass(frozen=True)
class Part:
    """One release: what it does to devices, and for how long it is followed."""

    name: str
    treated: Rates
    hours: float = 4 + 24 + 24 + 24


PARTS = (
    Part("hears nothing x5", replace(GOOD, empty=5 * GOOD.empty)),
    Part("corrected x2", replace(GOOD, corrected=2 * GOOD.corrected)),
    Part("does not load, 10 %", replace(GOOD, load_failed=0.10)),
    Part("ends the app, 20 %", replace(GOOD, crash_looped=0.20)),
    Part("hears nothing x2", replace(GOOD, empty=2 * GOOD.empty)),
    Part("good", GOOD, hours=4 + 24 + 24 + 48 + 12),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few devices, to see that it works")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="changes nothing: there are none here")
    parser.add_argument("--devices", type=int, default=10_000, help="simulated devices (default: %(default)s)")
    parser.add_argument("--null-runs", type=int, default=4_000, help="releases without harm (default: %(default)s)")
    parser.add_argument("--only", action="append", default=[], help="only parts with this in their name")
    parser.add_argument("--draw", action="store_true", help="only the picture of docs/rollout.md")
    arguments = parser.parse_args()
    if arguments.draw:
        draw(Path(__file__).resolve().parents[1] / "docs" / "images" / "rollout.svg")
        return
    parts = [part for part in PARTS if not arguments.only or any(word in part.name for word in arguments.only)]
    stages = STAGES
    if arguments.quick:
        arguments.devices, arguments.null_runs, stages = 300, 50, "0:1,20:24,100"
        parts = [replace(part, hours=26) for part in parts if "ends the app" in part.name]
    told = {}
    for part in parts:
        told[part.name] = follow(part, arguments.devices, stages, seed=1)
        if not arguments.json:
            print(_line(part.name, told[part.name]), flush=True)
    null = null_runs(arguments.null_runs, arguments.devices, seed=2)
    if not arguments.json:
        share = f"{null['rate']:.2%}; stated: {null['stated']:.0%}"
        print(f"without harm: {null['stopped']} of {null['runs']} stopped ({share})")
    result = {
        "name": "rollout",
        "ratios": {},
        "parts": told,
        "null": null,
        "conditions": {"devices": arguments.devices, "stages": stages, "system": platform.platform()},
        "left_out": [],
    }
    print(json.dumps(result))


def follow(part: Part, n_devices: int, stages: str, *, seed: int) -> dict[str, Any]:
    """One release from its first stage until it is stopped, or its time is over."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=_fast_disk()) as made:
        folder = Path(made)
        clock = FalseClock(folder / "clock")
        clock.set(time.time())
        settings = ServerSettings.from_env(
            {"PROJECTONE_SERVER_HOME": str(folder / "home"), "PROJECTONE_SERVER_ROLLOUT": stages}
        )
        initialise(settings)
        with serving(settings.home, folder / "clock") as port:
            told = asyncio.run(_follow(part, n_devices, settings, clock, folder, port, seed))
    return told | {"wall_s": round(time.perf_counter() - began, 1)}


async def _follow(
    part: Part, n_devices: int, settings: ServerSettings, clock: FalseClock, folder: Path, port: int, seed: int
) -> dict[str, Any]:
    engine = open_engine(settings.database_url)
    ledger, publisher = _site(settings, engine, clock)
    watch = RolloutWatch(
        engine,
        ledger,
        channel="stable",
        show=publisher.publish_rollout,
        notify=lambda message: None,
        tickets=Tickets(engine, TicketKeys(settings.keys_folder / FOLDER)),
        clock=clock,
    )
    begin = clock.seconds
    async with Wire(port) as wire:
        fleet = Fleet(
            wire,
            clock,
            n_devices=n_devices,
            code=(settings.keys_folder / ENROLMENT_CODE).read_text(),
            root=next((settings.home / SIGNED / "metadata").glob("1.root.json")).read_bytes(),
            home=folder / "device",
            url=f"http://127.0.0.1:{port}",
            seed=seed,
        )
        fleet.rates = {"treated": part.treated, "control": GOOD}
        found = watch.look()
        fleet.begin(12 * HOUR_S)
        while clock.seconds < begin + part.hours * HOUR_S:
            clock.set(clock.seconds + LOOK_S)
            await fleet.run_until(clock.seconds)
            found = watch.look()
            publisher.renew()
            if found is not None and found.rollout.status == "halted":
                break
        had_it = fleet.share_with_release
        # One more look of everybody: nobody takes what was stopped.
        clock.set(clock.seconds + 13 * HOUR_S)
        publisher.renew()
        if found is not None and found.rollout.status == "halted":
            await fleet.run_until(clock.seconds)
        fleet.close()
    engine.dispose()
    assert found is not None, "a release is out"
    return {
        "is_stopped": found.rollout.status == "halted",
        "reason": found.rollout.reason,
        "had_it": round(had_it, 5),
        "had_it_a_look_later": round(fleet.share_with_release, 5),
        "open_to_percent": percent_of(found.rollout.plan.stages[found.rollout.stage].max_buckets),
        "hours": round((clock.seconds - 13 * HOUR_S - begin) / HOUR_S, 2),
        "reports": dict(found.reported.devices),
        "requests": wire.n_requests,
        "verified": fleet.n_verified,
    }


def _numbered(manifest: ReleaseManifest, seq: int) -> ReleaseManifest:
    return manifest.model_copy(update={"seq": seq})


def _site(settings: ServerSettings, engine: Engine, clock: FalseClock) -> tuple[Ledger, Publisher]:
    """A model in production, and the release that goes out, both signed."""
    ledger = Ledger(engine)
    lifetimes = Lifetimes(targets=timedelta(days=settings.release_days))
    publisher = Publisher(settings.home / SIGNED, role_keys(settings.keys_folder), lifetimes=lifetimes, clock=clock)
    for version, plan in (("1.0.0", None), ("1.1.0", new_plan(settings, clock()))):
        manifest = release_of(plan, version, clock())
        ledger.publish(version, "stable", partial(_numbered, manifest))
    newest = ledger.newest("stable")
    assert newest is not None, "just released"
    publisher.publish(newest.tiers.values)
    return ledger, publisher


def null_runs(n_runs: int, n_devices: int, *, seed: int) -> dict[str, Any]:
    """Releases that change nothing, judged as the server judges: at every look, by every metric."""
    generator, limits = np.random.default_rng(seed), Limits()
    # Devices with the release at each look, and ten times as many without, as far as there are any.
    treated = np.unique(np.concatenate([np.linspace(1, n_devices * share, 40) for share in (0.01, 0.05, 0.25, 1.0)]))
    treated = np.unique(treated.astype(np.int64))
    control = np.minimum(10 * treated, np.maximum(n_devices - treated, n_devices * 3 // 4))
    is_stopped = np.zeros(n_runs, dtype=bool)
    reasons: dict[str, int] = {}
    rates = vars(GOOD)
    for metric in COMPARED:
        rate = rates[metric.replace("-", "_")]
        arms = [_counts(generator, rate, sizes, n_runs) for sizes in (treated, control)]
        paths = log_evidence_paths(arms[0], treated, arms[1], control)
        _note(metric, (paths >= limits.threshold).any(axis=1), is_stopped, reasons)
    for metric in LIMITED:
        rate, bearable = rates[metric.replace("-", "_")], limits.bearable[metric]
        failed = _counts(generator, rate, treated, n_runs)
        gain, loss = np.log(2.0), np.log((1 - 2 * bearable) / (1 - bearable))
        paths = failed * gain + (treated - failed) * loss
        _note(metric, (paths >= limits.threshold).any(axis=1), is_stopped, reasons)
    early = generator.binomial(limits.brake[1], rates["crash_looped"], n_runs) >= limits.brake[0]
    _note("crash-loops", early, is_stopped, reasons)
    tally = Tally(int(is_stopped.sum()), n_runs)
    low, high = tally.interval
    return {
        "runs": n_runs,
        "stopped": tally.failures,
        "rate": tally.rate,
        "interval": [round(low, 5), round(high, 5)],
        "stated": limits.alpha,
        "reasons": reasons,
    }


def _counts(generator: np.random.Generator, rate: float, sizes: _Counts, n_runs: int) -> _Counts:
    steps = np.diff(sizes, prepend=0)
    # Where devices leave the arm without the release, those who are counted there stay counted.
    return generator.binomial(np.maximum(steps, 0), rate, (n_runs, len(sizes))).cumsum(axis=1)


def _note(name: str, stopped: _Flags, is_stopped: _Flags, reasons: dict[str, int]) -> None:
    is_stopped |= stopped
    if stopped.any():
        reasons[name] = int(stopped.sum())


def draw(path: Path) -> None:
    """Left: who may have it when, of a good release and of one that is stopped. Right: how evidence grows."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    steps = rollout_stages(STAGES)
    hours = np.cumsum([0.0, *(least.total_seconds() / HOUR_S for _, least in steps)])
    shares = [buckets / 100 for buckets, _ in steps]
    with pyplot.rc_context({"svg.hashsalt": "projectone", "svg.fonttype": "none", "font.size": 9}):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
        ends = [*hours[1:-1], hours[-1] + 12]
        for begin, end, share in zip(hours, ends, shares, strict=False):
            controls = min(100.0, share * 11)
            left.fill_between([begin, end], share, controls, color="#cfd8dc", lw=0)
            left.fill_between([begin, end], 0, share, color="#007755", lw=0)
        left.plot([28, 44, 44, 112], [5, 5, 0, 0], color="#aa3333", lw=2)
        left.text(46, 0.25, "a stopped one: nobody gets it any more", color="white", fontsize=8)
        left.text(53, 8, "have a turn", color="white", fontsize=8)
        left.text(54, 50, "are compared with them", color="#455a64", fontsize=8)
        left.text(0.8, 0.3, "only who asks", color="#455a64", fontsize=8, rotation=90)
        left.set_yscale("symlog", linthresh=1)
        left.set_yticks([0, 1, 5, 25, 100], ["0", "1", "5", "25", "100"])
        left.set_ylim(0, 110)
        left.set_xlim(0, 112)
        left.set_xlabel("hours since the release")
        left.set_ylabel("share of devices, %")
        _draw_paths(right)
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _draw_paths(axes: Any) -> None:  # noqa: ANN401 - matplotlib has no types
    generator, threshold = np.random.default_rng(3), Limits().threshold
    for factor, colour, label, n_runs in (
        (1, "#9e9e9e", "no harm (0 of 30 cross)", 30),
        (2, "#aa7700", "twice as many devices fail", 8),
        (5, "#aa3333", "five times as many", 8),
    ):
        fleet = MadeUp(control_rate=0.01, treated_rate=0.01 * factor, n_looks=150, per_look=20, controls=10)
        paths = log_evidence_paths(*failures(fleet, n_runs, generator))
        looks = np.arange(1, fleet.n_looks + 1) * fleet.per_look
        for n, run in enumerate(paths):
            crossed = np.argmax(run >= threshold) if (run >= threshold).any() else len(run) - 1
            axes.plot(looks[: crossed + 1], run[: crossed + 1], color=colour, lw=0.8, label=label if n == 0 else None)
    axes.axhline(threshold, color="#444444", lw=0.8, ls="--")
    axes.text(2950, threshold + 0.15, "stop", ha="right", fontsize=8)
    axes.set_ylim(-6, threshold + 2.5)
    axes.set_xlabel("devices that have it (ten times as many do not); 1 % fail usually")
    axes.set_ylabel("evidence of harm, ln E")
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _fast_disk() -> str | None:
    """Flushes of a simulation protect nothing: memory will do where there is a disk of it."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _line(name: str, told: dict[str, Any]) -> str:
    end = f"stopped after {told['hours']:g} h: {told['reason']}" if told["is_stopped"] else "not stopped"
    return (
        f"{name:22} {end:34} {told['had_it']:7.2%} had it (a look later {told['had_it_a_look_later']:.2%}); "
        f"{sum(told['reports'].values())} devices reported, {told['requests']} requests, {told['wall_s']:g} s"
    )


if __name__ == "__main__":
    main()
