"""The demo's agents under the real mosaik: load and PV profiles by mosaik-csv, the grid by pandapower.

  mosaik-csv ── profiles ──> agents ── power ──> pandapower ── exchange with the 20 kV grid, voltages ──> this table
         └── homes and farms ──> coordinator, pandapower   └──── transformer's power, one step later ──> coordinator

  python examples/mosaik/scenario.py [--days 7] [--seed 1]

--agents none lets every device follow its profile and leaves the batteries still: what the agents are measured against.
With agents the exit status is 1 if the transformer was overloaded.
How to install what this needs, and what you should see: README.md beside this file.
"""

import argparse
import csv
import math
import sys
import tempfile
from pathlib import Path

import mosaik
import mosaik_api_v3

STEP = 900  # s
HOURS = STEP / 3600
RATING = 0.16  # MVA
ROOT = Path(__file__).resolve().parents[2]


class Data:
    """The files of cli/data/simbench: ';' separates their columns, power is in MW and Mvar."""

    def __init__(self, folder: Path):
        self.grid = folder / "grid.json"
        self.loads, self.plants, self.batteries = (self.rows(folder / f"{t}.csv") for t in ("Load", "RES", "Storage"))
        steps = self.rows(folder / "Profile.csv")
        # The heading of a column that several profiles share joins their names by "=".
        self.profiles = {name: [float(s[head]) for s in steps] for head in list(steps[0])[1:] for name in head.split("=")}
        day, month, year = steps[0]["time"].split()[0].split(".")
        self.start = f"{year}-{month}-{day} 00:00:00"
        self.steps = len(steps)

    @staticmethod
    def rows(path: Path) -> list:
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter=";"))

    def write_powers(self, path: Path):
        """What every load and plant would draw or feed in, as mosaik-csv reads it: `<id> P` in MW, `<id> Q` in Mvar."""
        columns = {}
        for load in self.loads:
            for power, rated in (("p", "pLoad"), ("q", "qLoad")):
                profile = self.profiles[f"{load['profile']}_{power}load"]
                columns[f"{load['id']} {power.upper()}"] = [float(load[rated]) * share for share in profile]
        for plant in self.plants:
            columns[f"{plant['id']} P"] = [float(plant["pRES"]) * share for share in self.profiles[plant["profile"]]]
        with open(path, "w", newline="", encoding="utf-8") as file:
            file.write("Profiles\n")
            out = csv.writer(file, lineterminator="\n")
            out.writerow(["Date", *columns])
            year, month, day = map(int, self.start.split()[0].split("-"))
            for k in range(self.steps):
                date = f"{year}-{month:02d}-{day + k // 96:02d} {k % 96 // 4:02d}:{k % 4 * 15:02d}:00"
                out.writerow([date, *(repr(values[k]) for values in columns.values())])


class Account(mosaik_api_v3.Simulator):
    """Keeps what the transformer carries and what the voltages are, and prints it at the end."""

    def __init__(self):
        attrs = ["p", "q", "vm"]
        super().__init__(
            {"api_version": "3.0", "type": "time-based", "models": {"Account": {"public": True, "params": [], "attrs": attrs}}}
        )
        self.mva, self.volts = [], []

    def init(self, sid, time_resolution=1.0):
        return self.meta

    def create(self, num, model):
        return [{"eid": "account", "type": model}]

    def step(self, time, inputs, max_advance):
        ports = inputs["account"]
        self.mva.append(math.hypot(sum(ports["p"].values()), sum(ports["q"].values())))
        self.volts += ports["vm"].values()
        return time + STEP

    def get_data(self, outputs):
        return {}

    def report(self, rating):
        """Prints the account and tells whether the transformer was within its rating."""
        above = sum(max(0.0, s - rating) for s in self.mva) * HOURS
        print(f"steps                      {len(self.mva):10d}")
        print(f"transformer, peak          {1e3 * max(self.mva):10.1f} kVA of {1e3 * rating:.0f} kVA")
        print(f"transformer, above rating  {1e3 * above:10.1f} kVAh")
        print(f"voltage                    {min(self.volts):10.4f} .. {max(self.volts):.4f} pu")
        return max(self.mva) <= rating


def kind(load) -> str:
    """The agent of a load, or none: SimBench marks charging points and heat pumps by their profile."""
    if load["profile"].startswith("HLS"):
        return "Charger"
    if load["profile"].startswith(("Air", "Soil")):
        return "HeatPump"
    return ""


def build(world, data, powers, command):
    """Starts all simulators, makes all entities and connects them. Returns the account."""
    csv_file = world.start("CSV", sim_start=data.start, datafile=str(powers), date_format="%Y-%m-%d %H:%M:%S")
    power_flow = world.start("PowerFlow", step_size=STEP)
    grid = power_flow.Grid(json=str(data.grid))
    parts = {}
    for child in grid.children:
        parts.setdefault(child.type, {})[child.extra_info["name"]] = child
    # What hangs at the buses is given from outside, so what the file says of it must not count twice.
    power_flow.disable_elements([e.eid for t in ("Load", "StaticGen") for e in parts.get(t, {}).values()])
    bus, upstream = parts["Bus"], next(iter(parts["ExternalGrid"].values()))
    account = world.start("Account", sim_id="Account").Account()
    world.connect(upstream, account, ("P[MW]", "p"), ("Q[MVar]", "q"))
    for name, b in bus.items():
        if name.startswith("LV"):
            world.connect(b, account, ("Vm[pu]", "vm"))

    if command:
        agents = world.start("Agents", step_size=STEP)
        coordinator = agents.Coordinator(rating_mva=RATING)
        # An argument that is another agent is given as its address: container (the program's name) and agent.
        to_coordinator = dict(coordinator=f"local://agents/{coordinator.eid}")
        world.connect(
            upstream,
            coordinator,
            ("P[MW]", "p_mw"),
            ("Q[MVar]", "q_mvar"),
            time_shifted=True,
            initial_data={"P[MW]": 0.0, "Q[MVar]": 0.0},
        )

    def follow(row, model, port, **sizes):
        """The device at a bus: an agent that is told what its profile would do, or just the profile.

        Each device is a source of its own: of two values from one source for one port mosaik keeps only the last.
        """
        profiles = csv_file.Profiles()
        if command and model:
            agent = getattr(agents, model)(**to_coordinator, **sizes)
            world.connect(profiles, agent, (f"{row['id']} P", "profile_mw"))
            world.connect(agent, bus[row["node"]], ("p_mw", port))
        else:
            world.connect(profiles, bus[row["node"]], (f"{row['id']} P", port))
            if command:
                world.connect(profiles, coordinator, (f"{row['id']} P", "sites_mw"))
        return profiles

    for load in data.loads:
        sizes = dict(p_mw=float(load["pLoad"])) if kind(load) else {}
        profiles = follow(load, kind(load), "P_load[MW]", **sizes)
        world.connect(profiles, bus[load["node"]], (f"{load['id']} Q", "Q_load[MVar]"))
    for plant in data.plants:
        follow(plant, "Pv", "P_gen[MW]")
    for row in data.batteries if command else []:
        sizes = dict(p_mw=float(row["sR"]), e_mwh=float(row["eStore"]))
        losses = dict(efficiency=float(row["etaStore"]), loss_per_day=float(row["sdStore"]) / 100)
        battery = agents.Battery(**to_coordinator, **sizes, **losses)
        world.connect(battery, bus[row["node"]], ("p_mw", "P_load[MW]"))
    return world._async_world._proxies["Account"].sim


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--data", type=Path, default=ROOT / "cli" / "data" / "simbench")
    parser.add_argument("--seed", type=int, default=1, help="of the agents' random streams")
    parser.add_argument("--agents", default=f"{ROOT / 'target/release/isochrone'} agents mosaik %(addr)s")
    args = parser.parse_args()
    command = "" if args.agents == "none" else f"{args.agents} --seed {args.seed}"

    data = Data(args.data)
    simulators = {
        "CSV": {"python": "mosaik_csv:CSV"},
        "PowerFlow": {"python": "mosaik_components.pandapower:Simulator"},
        "Account": {"python": "__main__:Account"},
        "Agents": {"cmd": command},
    }
    with tempfile.TemporaryDirectory() as folder, mosaik.World(simulators, skip_greetings=True) as world:
        powers = Path(folder) / "powers.csv"
        data.write_powers(powers)
        account = build(world, data, powers, command)
        until = min(int(args.days * 96), data.steps)
        world.run(until=until * STEP, print_progress=sys.stderr.isatty())
    # mosaik logs the failure of a simulator and returns as if nothing had happened.
    if len(account.mva) < until:
        sys.exit(f"the run ended after {len(account.mva)} of {until} steps, see the log above")
    kept = account.report(RATING)
    if command and not kept:
        sys.exit("the transformer was overloaded")


if __name__ == "__main__":
    main()
