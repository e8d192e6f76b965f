"""Energy scenario: mosaik-csv (load and PV profiles) -> battery agents -> pandapower low-voltage grid -> bus voltages
back to the agents (time-shifted), all of it into a sink. Runs once with the Python agents (battery_agent.py) and once
with a foreign simulator, and compares every value.

  python e2e_energy.py [--cmd "..."] [--days 1] [--houses 8] [--within 1e-9]

--cmd: the foreign simulator, default `target/release/examples/mosaik_battery mosaik %(addr)s` of this project (or
$CARGO_TARGET_DIR); %(here)s is this folder. Exit status 0 = all values agree: 2,304 of them for one day and 8 houses.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from pathlib import Path

from worlds import driver, world

HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parents[2] / "target").resolve()
STEP = 900


def write_profiles(path, days, houses):
    with open(path, "w") as file:
        file.write("Profiles\nDate," + ",".join(f"load{i},pv{i}" for i in range(houses)) + "\n")
        for k in range(int(days * 96) + 2):
            hour = (k * 0.25) % 24
            row = [f"2026-06-{1 + k // 96:02d} {(k % 96) // 4:02d}:{15 * (k % 4):02d}:00"]
            for i in range(houses):
                load = 0.0005 + 0.002 * math.exp(-(((hour - 19 + 0.1 * i) / 2.5) ** 2))
                pv = max(0, 0.008 * math.sin(math.pi * (hour - 6) / 12))
                row += [f"{load:.6f}", f"{pv:.6f}"]
            file.write(",".join(row) + "\n")


def run(command, profiles, days, houses):
    """{(time, attribute, source): value} of everything the sink saw, and the seconds it took."""
    with world({"cmd": command}, seconds=600) as w:
        w.sim_config["CSV"] = {"python": "mosaik_csv:CSV"}
        w.sim_config["PP"] = {"python": "mosaik_components.pandapower:Simulator"}
        csv = w.start("CSV", sim_start="2026-06-01 00:00:00", datafile=profiles, date_format="%Y-%m-%d %H:%M:%S")
        power_flow = w.start("PP", step_size=STEP)
        agents = w.start("Agents", step_size=STEP)
        sink = w.start("Sink").Sink()
        profile = csv.Profiles()
        grid = power_flow.Grid(network_function="create_kerber_landnetz_freileitung_1")
        buses = [e for e in grid.children if e.type == "Bus" and e.extra_info["nominal voltage [kV]"] < 1]
        for i in range(houses):
            bus = buses[-1 - i % len(buses)]
            battery = agents.BatteryAgent(capacity_mwh=0.02, p_max_mw=0.004)
            w.connect(profile, battery, (f"load{i}", "load"), (f"pv{i}", "pv"))
            w.connect(profile, bus, (f"load{i}", "P_load[MW]"), (f"pv{i}", "P_gen[MW]"))
            w.connect(battery, bus, ("p_bat", "P_load[MW]"))
            w.connect(bus, battery, ("Vm[pu]", "vm"), time_shifted=True, initial_data={"Vm[pu]": 1.0})
            w.connect(bus, sink, ("Vm[pu]", "vm"))
            w.connect(battery, sink, "p_bat", "soc")
        began = time.perf_counter()
        w.run(until=int(days * 86400), print_progress=False, shutdown=False)
        took = time.perf_counter() - began
        if w.errors:
            raise RuntimeError(w.errors[0][:1500])
        return {(t, attr, source): float(v) for t, _, attr, source, v in driver(w, "Sink-0").log}, took


def line(name, values, took):
    def of(attr):
        return [v for (_, a, _), v in values.items() if a == attr]

    steps = len({t for t, _, _ in values})
    print(
        f"{name:8s} {steps:5d} {len(values):7d} {took:8.2f}   {min(of('vm')):.6f} .. {max(of('vm')):.6f}"
        f"   {min(of('soc')):.4f} .. {max(of('soc')):.4f}   {sum(of('p_bat')) * STEP / 3600 * 1e3:+.6f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cmd", default=f"{TARGET}/release/examples/mosaik_battery mosaik %(addr)s")
    parser.add_argument("--days", type=float, default=1)
    parser.add_argument("--houses", type=int, default=8)
    parser.add_argument("--within", type=float, default=1e-9)
    args = parser.parse_args()
    foreign = args.cmd.replace("%(here)s", str(HERE))

    with tempfile.TemporaryDirectory() as folder:
        profiles = os.path.join(folder, "profiles.csv")
        write_profiles(profiles, args.days, args.houses)
        print("agents   steps  values  wall [s]   voltage [pu]           state of charge    net charge [kWh]", flush=True)
        results = []
        for name, command in [("Python", f"%(python)s {HERE / 'battery_agent.py'} %(addr)s"), ("foreign", foreign)]:
            try:
                values, took = run(command, profiles, args.days, args.houses)
            except (Exception, SystemExit) as e:
                print(f"FAIL {name}: `{command}`: {type(e).__name__}: {e}")
                return 1
            line(name, values, took)
            results.append(values)
    ours, theirs = results

    bad = sorted(key for key in ours.keys() | theirs.keys() if not close(ours.get(key), theirs.get(key), args.within))
    for t, attr, source in bad[:10]:
        a, b = ours.get((t, attr, source)), theirs.get((t, attr, source))
        print(f"  differs at {t} s: {attr} of {source}: Python {a!r}, foreign {b!r}")
    if bad or not ours:
        print(f"FAIL {len(bad)} of {len(ours)} values differ by more than {args.within:g}")
        return 1
    worst = max(abs(ours[key] - theirs[key]) for key in ours)
    print(f"ok   all {len(ours):,} values agree within {args.within:g}; the largest difference is {worst:.1e}")
    return 0


def close(a, b, within):
    return a is not None and b is not None and abs(a - b) <= within


if __name__ == "__main__":
    sys.exit(main())
