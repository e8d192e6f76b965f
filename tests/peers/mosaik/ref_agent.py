"""Reference implementation ("stand-in MAS") of the acceptance model.

A hybrid mosaik simulator with a tiny internal discrete-event queue, i.e. what a
multi-agent kernel whose clock is driven by mosaik has to do:

model Agent
  params : delay (int, default 1)   answer delay of a ping, 0 = same time
           period (int, default 0)  0 = no periodic timer, else timer at 0, period, 2*period...
           hops (int, default 0)    ping values < hops are answered, others end the dialogue
           future (bool, default False)  answer at once but stamped 'time': t+delay
  attrs  : ping  (trigger input)            int values, one or several sources
           level (non-trigger input)        numeric, held until replaced
           pong  (non-persistent output)    event, present only if it happened now
           state (persistent output)        number, always present
  step(t): 1. level := sum of the `level` inputs of this step (sources in sorted order)
           2. for each ping value v (sources in sorted order): if hops == 0 or v < hops:
              answer v+1 due at t+delay
           3. timer due (t % period == 0, started at 0): state += level
           4. answers due at t are moved to the pong outbox (list of ints)
           returns the time of the next internal event, or None
extra method echo(*args, **kw) -> {"args": [...], "kwargs": {...}}
extra method trace() -> list of [time, inputs, max_advance, returned next step]
"""

import heapq
import sys

import mosaik_api_v3

META = {
    "api_version": "3.0",
    "type": "hybrid",
    "models": {
        "Agent": {
            "public": True,
            "params": ["delay", "period", "hops", "future"],
            "attrs": ["ping", "level", "pong", "state"],
            "trigger": ["ping"],
            "non-persistent": ["pong"],
        },
    },
    "extra_methods": ["echo", "trace"],
}


class RefAgent(mosaik_api_v3.Simulator):
    def __init__(self):
        super().__init__(META)
        self.agents = {}
        self.queue = []  # (time, seq, kind, eid, value)
        self.seq = 0
        self.log = []

    def init(self, sid, time_resolution=1.0, **params):
        return self.meta

    def create(self, num, model, delay=1, period=0, hops=0, future=False):
        entities = []
        for _ in range(num):
            eid = f"agent_{len(self.agents)}"
            self.agents[eid] = dict(delay=delay, period=period, hops=hops, future=future, level=0, state=0, pong=[])
            if period:
                self.push(0, "timer", eid, None)
            entities.append({"eid": eid, "type": model})
        return entities

    def push(self, time, kind, eid, value):
        heapq.heappush(self.queue, (time, self.seq, kind, eid, value))
        self.seq += 1

    def step(self, time, inputs, max_advance):
        self.out_time = None
        for agent in self.agents.values():
            agent["pong"] = []
        for eid in sorted(inputs):
            agent, ports = self.agents[eid], inputs[eid]
            if "level" in ports:
                agent["level"] = sum(ports["level"][source] for source in sorted(ports["level"]))
            for source in sorted(ports.get("ping", {})):
                values = ports["ping"][source]
                for v in values if isinstance(values, list) else [values]:
                    if agent["hops"] and v >= agent["hops"]:
                        continue
                    if agent["future"]:
                        agent["pong"].append(v + 1)
                        self.out_time = time + agent["delay"]
                    else:
                        self.push(time + agent["delay"], "answer", eid, v + 1)
        while self.queue and self.queue[0][0] <= time:
            due, _, kind, eid, value = heapq.heappop(self.queue)
            assert due == time, (due, time)
            agent = self.agents[eid]
            if kind == "timer":
                agent["state"] += agent["level"]
                self.push(due + agent["period"], "timer", eid, None)
            else:
                agent["pong"].append(value)
        next_step = self.queue[0][0] if self.queue else None
        self.log.append([time, inputs, max_advance, next_step])
        return next_step

    def get_data(self, outputs):
        data = {}
        for eid, attrs in outputs.items():
            agent, values = self.agents[eid], {}
            for attr in attrs:
                if attr == "state":
                    values["state"] = agent["state"]
                elif attr == "pong" and agent["pong"]:
                    values["pong"] = list(agent["pong"])
            if values:
                data[eid] = values
        if self.out_time is not None:
            data["time"] = self.out_time
        return data

    def echo(self, *args, **kw):
        return {"args": list(args), "kwargs": kw}

    def trace(self):
        return self.log


if __name__ == "__main__":
    sys.exit(mosaik_api_v3.start_simulation(RefAgent(), "reference agent", configure_logging=False))
