"""The test simulator of more.py in Python: a small event queue under mosaik, in the three modes.

It is here to show that the expected traces of more.py follow from mosaik and from the rules of the modes. It keeps no
law of a real kernel (no rounds, no deadlines, no order but that of the queue).
"""

import argparse
import asyncio
import heapq
import os
import sys

import mosaik_api_v3
from mosaik_api_v3.connection import EndOfRequests, RemoteException

S = 10**9
NO_EVENT = "mosaik will not step this simulator: declare hybrid or call `world.set_initial_event`"


def seconds(text):
    return int(text.removesuffix("s")) * S


class Agent:
    ATTRS, TRIGGER, EVENTS, PUBLIC, PARAMS = [], [], [], True, []

    def __init__(self, sim, eid, **params):
        self.sim, self.eid, self.out = sim, eid, {attr: [] for attr in self.EVENTS}
        self.setup(**params)

    def setup(self):
        pass

    def total(self, values):
        return sum(value for _, value in sorted(values.items()))


class Recorder(Agent):
    ATTRS, TRIGGER = ["msg", "num", "maybe", "last_num", "last_maybe"], ["msg", "num", "maybe"]

    def setup(self):
        self.last_num, self.last_maybe = 0.0, None

    def msg(self, values):
        numbers = [n for _, v in sorted(values.items()) for n in (v if isinstance(v, list) else [v])]
        self.sim.note(self, "msg " + ",".join(sorted(values)), numbers)

    def num(self, values):
        for source, value in values.items():
            if value is None:
                raise TypeError(f"{self.eid}: input `num` from {source}: null is not a number")
        self.last_num = self.total(values)

    def maybe(self, values):
        self.last_maybe = values[min(values)]


class Timer(Agent):
    ATTRS, TRIGGER = ["poke", "level"], ["poke"]
    level = 1.0

    def setup(self):
        self.k = 0
        self.sim.after(S, self.tick)

    def tick(self):
        self.k += 1
        self.sim.note(self, "tick", [self.k])
        self.sim.after(S, self.tick)

    def poke(self, values):
        pass


class Decider(Agent):
    ATTRS, TRIGGER, EVENTS = ["demand", "decision", "decided"], ["demand"], ["decided"]

    def setup(self):
        self.decision = 0.0

    def demand(self, values):
        x = self.total(values)

        def ripen():
            self.decision = x + 1
            self.out["decided"].append(x + 1)

        self.sim.after(3 * S // 10, ripen)


class Plain(Agent):
    ATTRS, PARAMS = ["level", "double"], ["base"]

    def setup(self, base=0):
        self.double = 2 * base

    def level(self, values):
        self.double = 2 * self.total(values)


class Echo(Agent):
    ATTRS, TRIGGER, EVENTS, PARAMS = ["ping", "pong"], ["ping"], ["pong"], ["alarm"]

    def setup(self, alarm=0):
        if alarm:
            self.sim.after(alarm * S, lambda: self.out["pong"].append(-1))

    def ping(self, values):
        for _, numbers in sorted(values.items()):
            for v in numbers:
                self.sim.after(2 * S, lambda v=v: self.out["pong"].append(v + 1))


class Tree(Agent):
    PARAMS = ["leaves"]

    def setup(self, leaves=2):
        made = [self.sim.make("Leaf", value=i) for i in range(leaves)]
        self.children = [
            {"eid": leaf.eid, "type": "Leaf", "rel": [made[i - 1].eid] if i else []} for i, leaf in enumerate(made)
        ]


class Leaf(Agent):
    ATTRS, PUBLIC = ["value"], False

    def setup(self, value):
        self.value = value


class Asker(Agent):
    ATTRS, TRIGGER, EVENTS = ["ask", "answer"], ["ask"], ["answer"]

    def ask(self, values):
        for _, (name, *arguments) in sorted(values.items()):
            try:
                self.out["answer"].append({"ok": (yield getattr(self.sim.mosaik, name)(*arguments))})
            except RemoteException as e:
                self.out["answer"].append({"failed": [e.remote_type, e.remote_msg]})


class Bomb(Agent):
    ATTRS, TRIGGER = ["poke", "count"], ["poke"]

    def setup(self):
        self.count, self.stopped = 0, False

    def poke(self, values):
        if self.stopped:
            return
        for _, numbers in sorted(values.items()):
            for v in numbers:
                if v == 13:
                    print(f"{self.eid} panicked at poke: boom", file=sys.stderr, flush=True)
                    if self.sim.args.policy == "escalate":
                        self.sim.code = 1
                        raise RuntimeError(f"{self.eid} at {self.sim.now // S} s, poke: boom")
                    self.stopped = self.sim.args.policy == "stop"
                    self.count = self.count if self.stopped else 0
                    return
                self.count += v


MODELS = {model.__name__: model for model in (Recorder, Timer, Decider, Plain, Echo, Tree, Leaf, Asker, Bomb)}


class StandIn(mosaik_api_v3.Simulator):
    def __init__(self, args):
        self.args = args
        only = {"hybrid": MODELS, "time-based": ["Plain"], "event-based": ["Echo"]}[args.type]
        models = {}
        for name in only:
            m = MODELS[name]
            models[name] = {"public": m.PUBLIC, "params": m.PARAMS, "attrs": m.ATTRS}
            if args.type == "hybrid":
                models[name] |= {"trigger": m.TRIGGER, "non-persistent": m.EVENTS}
        super().__init__({"api_version": args.api, "type": args.type, "models": models, "extra_methods": ["trace"]})
        self.now, self.queue, self.seq, self.log, self.agents = 0, [], 0, [], {}
        self.connected, self.snapshot, self.code = None, None, 0

    def init(self, sid, time_resolution=1.0, step_size=None):
        self.tick, self.step_size = round(time_resolution * S), step_size
        return self.meta

    def make(self, model, **params):
        eid = f"{model.lower()}_{sum(type(a).__name__ == model for a in self.agents.values())}"
        self.agents[eid] = None  # keeps its place while it makes children
        self.agents[eid] = MODELS[model](self, eid, **params)
        return self.agents[eid]

    def create(self, num, model, **params):
        made = [self.make(model, **params) for _ in range(num)]
        return [{"eid": a.eid, "type": model, "children": getattr(a, "children", [])} for a in made]

    def setup_done(self):
        if self.args.type == "event-based" and self.queue:
            raise RuntimeError(NO_EVENT)

    def note(self, agent, what, numbers):
        self.log.append([self.now, agent.eid, what, numbers])

    def trace(self):
        return self.log

    def after(self, delay, function):
        heapq.heappush(self.queue, (self.now + delay, self.seq, function))
        self.seq += 1

    def run_until(self, limit):
        while self.queue and self.queue[0][0] <= limit:
            self.now, _, function = heapq.heappop(self.queue)
            function()
        self.now = max(self.now, limit)

    def state(self):
        """Of the connected outputs; of all while nobody has asked."""
        ports = self.connected or {eid: a.ATTRS for eid, a in self.agents.items()}
        attrs = [(eid, attr) for eid in ports for attr in ports[eid]]
        return {(eid, attr): getattr(self.agents[eid], attr, None) for eid, attr in attrs}

    def step(self, time, inputs, max_advance=None):
        t = time * self.tick
        limit = t if max_advance is None else max_advance * self.tick
        self.snapshot, wake = None, None
        self.run_until(t - 1)
        self.now = t
        for eid in sorted(inputs):
            for attr in sorted(inputs[eid], key=self.agents[eid].ATTRS.index):
                requests = getattr(self.agents[eid], attr)(inputs[eid][attr])
                if requests is not None:
                    yield from requests
        self.run_until(t)
        if self.args.mode.startswith("window="):
            self.run_until(min(t + seconds(self.args.mode[7:]), limit))
        elif self.args.mode == "ahead" and not any(e for a in self.agents.values() for e in a.out.values()):
            before = self.snapshot = self.state()
            while wake is None and self.queue and self.queue[0][0] <= limit:
                self.run_until(self.queue[0][0])
                emitted = any(e for a in self.agents.values() for e in a.out.values())
                if emitted or self.state() != before:
                    wake = self.now
        if self.step_size:
            return time + self.step_size
        wake = wake or (self.queue[0][0] if self.queue else None)
        return None if wake is None else max(-(-wake // self.tick), time + 1)

    def get_data(self, outputs):
        self.connected = {eid: [a for a in attrs if a not in self.agents[eid].EVENTS] for eid, attrs in outputs.items()}
        data = {}
        for eid, attrs in outputs.items():
            agent = self.agents[eid]
            for attr in attrs:
                if attr in agent.EVENTS:
                    if self.snapshot is None and agent.out[attr]:
                        data.setdefault(eid, {})[attr] = agent.out[attr]
                        agent.out[attr] = []
                else:
                    value = (self.snapshot or {}).get((eid, attr), getattr(agent, attr))
                    data.setdefault(eid, {})[attr] = value
        return data


async def serve(simulator, address):
    host, port = address.split(":")
    try:
        await mosaik_api_v3.run_as_client(simulator, host, int(port))
    except (EndOfRequests, ConnectionError):
        print("mosaik is gone: the connection ended without `stop`", file=sys.stderr, flush=True)
        simulator.code = 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["mosaik"])
    parser.add_argument("address")
    parser.add_argument("--mode", default="exact")
    parser.add_argument("--type", default="hybrid")
    parser.add_argument("--api", default="3.0")
    parser.add_argument("--policy", default="escalate")
    stand_in = StandIn(parser.parse_args())
    asyncio.run(serve(stand_in, stand_in.args.address))
    os._exit(stand_in.code)  # as quickly as a program does that is no interpreter
