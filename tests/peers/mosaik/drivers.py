"""The simulators on mosaik's side of the scenarios, all in mosaik's own process."""

import mosaik_api_v3


class Driver(mosaik_api_v3.Simulator):
    """What they share: numbered entities, of which `self.entities` keeps the parameters, and a log."""

    KIND = "event-based"
    MODEL = {}

    def __init__(self):
        models = {type(self).__name__: {"public": True, "params": [], **self.MODEL}}
        super().__init__({"api_version": "3.0", "type": self.KIND, "models": models})
        self.entities = {}
        self.log = []

    def init(self, sid, time_resolution=1.0, step_size=1):
        self.step_size = step_size
        return self.meta

    def create(self, num, model, **params):
        created = []
        for _ in range(num):
            eid = f"{self.PREFIX}_{len(self.entities)}"
            self.entities[eid] = self.entity(**params)
            created.append({"eid": eid, "type": model})
        return created

    def entity(self, **params):
        return params

    def note(self, time, inputs):
        """Logs a row [time, eid, attribute, source, value] for every value that came in."""
        for eid in sorted(inputs):
            for attr in sorted(inputs[eid]):
                for source in sorted(inputs[eid][attr]):
                    self.log.append([time, eid, attr, source, inputs[eid][attr][source]])


class Source(Driver):
    """time-based: `level` is base + time."""

    KIND, PREFIX = "time-based", "src"
    MODEL = {"params": ["base"], "attrs": ["level"]}

    def entity(self, base=0):
        return base

    def step(self, time, inputs, max_advance):
        self.time = time
        return time + self.step_size

    def get_data(self, outputs):
        return {eid: {attr: self.entities[eid] + self.time for attr in attrs} for eid, attrs in outputs.items()}


class Pinger(Driver):
    """event-based: emits [value] on `out` at the times of its plan [[time, value], ..]; answers each `inp` value v < hops with v + 1
    in the same time step (same-time loop); logs every step."""

    PREFIX = "ping"
    MODEL = {"params": ["plan", "hops"], "attrs": ["out", "inp"]}

    def entity(self, plan=(), hops=0):
        return dict(plan={int(t): v for t, v in plan}, hops=hops, out=[])

    def step(self, time, inputs, max_advance):
        self.log.append([time, inputs, max_advance])
        due = []
        for eid, pinger in self.entities.items():
            pinger["out"] = []
            if time in pinger["plan"]:
                pinger["out"].append(pinger["plan"].pop(time))
            for _, values in sorted(inputs.get(eid, {}).get("inp", {}).items()):
                pinger["out"] += [v + 1 for v in values if v < pinger["hops"]]
            due += [t for t in pinger["plan"] if t > time]
        return min(due, default=None)

    def get_data(self, outputs):
        return {eid: {"out": self.entities[eid]["out"]} for eid in outputs if self.entities[eid]["out"]}


class Talker(Driver):
    """event-based: sends the values of its plan [[time, value], ..] on `out`, just as they are."""

    PREFIX = "talk"
    MODEL = {"params": ["plan"], "attrs": ["out"]}

    def entity(self, plan=()):
        return dict(plan)

    def step(self, time, inputs, max_advance):
        self.time = time
        return min((t for plan in self.entities.values() for t in plan if t > time), default=None)

    def get_data(self, outputs):
        return {eid: {"out": self.entities[eid][self.time]} for eid in outputs if self.time in self.entities[eid]}


class Sink(Driver):
    """event-based: logs whatever it is sent, on any attribute."""

    PREFIX = "sink"
    MODEL = {"any_inputs": True, "attrs": []}

    def step(self, time, inputs, max_advance):
        self.note(time, inputs)
        return None


class Meter(Driver):
    """time-based, as a power flow is: every `step_size` it logs what lies on its inputs; `p` reads the time."""

    KIND, PREFIX = "time-based", "meter"
    MODEL = {"any_inputs": True, "attrs": ["p"]}

    def step(self, time, inputs, max_advance):
        self.time = time
        self.note(time, inputs)
        return time + self.step_size

    def get_data(self, outputs):
        return {eid: {attr: self.time for attr in attrs} for eid, attrs in outputs.items()}
