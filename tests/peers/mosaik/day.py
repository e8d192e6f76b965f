"""A day under mosaik: a grid that steps every 900 s, and 100 houses that draw by the voltage it gives them.

    python tests/peers/mosaik/day.py "PROGRAM .. %(addr)s" 1

The houses' simulator has a model `House` with the parameter `seconds`, the period of its timer (1 here), the input `vm_pu` and the outputs `p_mw` and `q_mvar`. What is measured with it is
this whole process, from its start to its end, with the simulator that mosaik starts.
"""

import sys

import mosaik_api_v3
from worlds import world

DAY, STEP, HOUSES, BUSES = 86_400, 900, 100, 13


class Grid(mosaik_api_v3.Simulator):
    """time-based: buses whose voltage sinks with what is drawn."""

    def __init__(self):
        attrs = ["vm_pu", "p_mw", "q_mvar"]
        super().__init__({"type": "time-based", "models": {"Bus": {"public": True, "params": [], "attrs": attrs}}})

    def init(self, sid, time_resolution=1.0):
        return self.meta

    def create(self, num, model):
        self.vm_pu = {f"bus_{n}": 1.0 for n in range(num)}
        return [{"eid": eid, "type": model} for eid in self.vm_pu]

    def step(self, time, inputs, max_advance):
        for eid, attrs in inputs.items():
            self.vm_pu[eid] = 1.02 - sum(attrs["p_mw"].values()) - sum(attrs["q_mvar"].values()) / 2
        return time + STEP

    def get_data(self, outputs):
        return {eid: {attr: self.vm_pu[eid] for attr in attrs} for eid, attrs in outputs.items()}


def main() -> None:
    # it is left to say how many steps it made
    with world({"cmd": sys.argv[1], "auto_terminate": False}) as w:
        w.sim_config["Grid"] = {"python": "day:Grid"}
        buses = w.start("Grid").Bus.create(BUSES)
        houses = w.start("Agents").House.create(HOUSES, seconds=int(sys.argv[2]))
        for n, house in enumerate(houses):
            bus = buses[n % BUSES]
            w.connect(bus, house, "vm_pu")
            w.connect(house, bus, "p_mw", "q_mvar", time_shifted=True, initial_data={"p_mw": 0.0, "q_mvar": 0.0})
        w.run(until=DAY, print_progress=False)


if __name__ == "__main__":
    main()
