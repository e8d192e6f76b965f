"""Battery agents of the energy scenario in Python: what `examples/mosaik_battery.rs` has to agree with.

hybrid; simulator parameter step_size (default 900)
model BatteryAgent
  params : capacity_mwh (default 0.01), p_max_mw (default 0.005)
  attrs  : load, pv, vm  (non-trigger inputs, summed over their sources in sorted order)
           p_bat         (persistent output, MW, > 0 = charging)
           soc           (persistent output, share of the capacity, 0.5 at the start)
  step(t): the surplus pv - load, within p_max; p_max if vm > 1.03 (no vm, or 0, counts as 1); within what the battery
           can take or give until the next step; returns t + step_size
"""

import sys

import mosaik_api_v3

META = {
    "api_version": "3.0",
    "type": "hybrid",
    "models": {
        "BatteryAgent": {
            "public": True,
            "params": ["capacity_mwh", "p_max_mw"],
            "attrs": ["load", "pv", "vm", "p_bat", "soc"],
            "trigger": [],
            "non-persistent": [],
        }
    },
}


class BatteryAgents(mosaik_api_v3.Simulator):
    def __init__(self):
        super().__init__(META)
        self.batteries = {}

    def init(self, sid, time_resolution=1.0, step_size=900):
        self.step_size = step_size
        self.hours = step_size * time_resolution / 3600
        return self.meta

    def create(self, num, model, capacity_mwh=0.01, p_max_mw=0.005):
        entities = []
        for _ in range(num):
            eid = f"bat_{len(self.batteries)}"
            self.batteries[eid] = dict(capacity=capacity_mwh, p_max=p_max_mw, soc=0.5, p_bat=0.0)
            entities.append({"eid": eid, "type": model})
        return entities

    def step(self, time, inputs, max_advance):
        for eid, b in self.batteries.items():
            ports = inputs.get(eid, {})

            def total(attr):
                return sum(value for _, value in sorted(ports.get(attr, {}).items()))

            p = max(-b["p_max"], min(b["p_max"], total("pv") - total("load")))
            if (total("vm") or 1.0) > 1.03:
                p = b["p_max"]
            p = min(p, (1 - b["soc"]) * b["capacity"] / self.hours)
            p = max(p, -b["soc"] * b["capacity"] / self.hours)
            b["soc"] += p * self.hours / b["capacity"]
            b["p_bat"] = p
        return time + self.step_size

    def get_data(self, outputs):
        return {eid: {attr: self.batteries[eid][attr] for attr in attrs} for eid, attrs in outputs.items()}


if __name__ == "__main__":
    sys.exit(mosaik_api_v3.start_simulation(BatteryAgents(), "battery agents", configure_logging=False))
