"""Acceptance test: runs the same scenarios against the in-process reference agent and against a foreign (e.g. Rust)
simulator. The traces must be equal, and equal again on a repeat.

  python acceptance.py --cmd "%(python)s ref_agent.py %(addr)s"            mosaik starts it
  python acceptance.py --connect 127.0.0.1:5700 --spawn "python ref_agent.py -r 127.0.0.1:5700"
       mosaik connects; --spawn is started by this script before every run (leave it out if the server already runs and
       accepts one new connection per run)
  --model Agent --ping ping --level level --pong pong --state state        other names of the model and its attributes
  --stock  mosaik 3.6.0 as it is (default: with mosaik36_patch)
  --only NAME[,NAME]   --skip NAME[,NAME]   --repeat N   --json out.json

Exit status 0 = all equal.
"""

import argparse
import json
import sys
import time

import ref_agent  # noqa: F401  (mosaik's starters import it, and the drivers, by name)
from worlds import Spawned, driver, world

ATTRS = ("ping", "level", "pong", "state")


class Names:
    """What the model and its attributes are called."""

    def __init__(self, args, foreign):
        self.model = args.model if foreign else "Agent"
        for attr in ATTRS:
            setattr(self, attr, getattr(args, attr) if foreign else attr)


# The scenarios: (world w, st(sid) starts the agents, names n) -> (until, agents)


def periodic(w, st, n):
    """time-based source -> hybrid agent's timer (period 3, 2 sources summed) -> sink"""
    ag = st("Agents")
    src = w.start("Source", sim_id="Src", step_size=1)
    k = w.start("Sink", sim_id="Sink").Sink()
    a = getattr(ag, n.model)(period=3)
    s1 = src.Source(base=10)
    s2 = src.Source(base=100)
    w.connect(s1, a, ("level", n.level))
    w.connect(s2, a, ("level", n.level))
    w.connect(a, k, (n.state, "state"))
    return 12, ag


def trigger(w, st, n):
    """event-based pinger triggers the agent at 2, 5, 6; answers come delay=2 later as events"""
    ag = st("Agents")
    p = w.start("Pinger", sim_id="P")
    k = w.start("Sink", sim_id="Sink").Sink()
    a = getattr(ag, n.model)(delay=2)
    b = p.Pinger(plan=[[2, 20], [5, 50], [6, 60]])
    w.connect(b, a, ("out", n.ping))
    w.connect(a, k, (n.pong, "pong"))
    w.set_initial_event("P", 2)
    return 12, ag


def future(w, st, n):
    """as trigger, but the agent stamps its output with 'time': t+3 instead of stepping itself"""
    ag = st("Agents")
    p = w.start("Pinger", sim_id="P")
    k = w.start("Sink", sim_id="Sink").Sink()
    a = getattr(ag, n.model)(delay=3, future=True)
    b = p.Pinger(plan=[[1, 10], [4, 40]])
    w.connect(b, a, ("out", n.ping))
    w.connect(a, k, (n.pong, "pong"))
    w.set_initial_event("P", 1)
    return 12, ag


def sametime(w, st, n):
    """same-time loop (weak edge, group): dialogue of 6 messages inside one mosaik time step"""
    with w.group():
        ag = st("Agents")
        p = w.start("Pinger", sim_id="P")
    k = w.start("Sink", sim_id="Sink").Sink()
    a = getattr(ag, n.model)(delay=0, hops=9)
    b = p.Pinger(plan=[[1, 0], [4, 5]], hops=9)
    w.connect(b, a, ("out", n.ping))
    w.connect(a, b, (n.pong, "inp"), weak=True)
    w.connect(a, k, (n.pong, "pong"))
    w.set_initial_event("P", 1)
    return 6, ag


def shifted(w, st, n):
    """closed loop with a time-shifted edge of 2 steps"""
    ag = st("Agents")
    p = w.start("Pinger", sim_id="P")
    k = w.start("Sink", sim_id="Sink").Sink()
    a = getattr(ag, n.model)(delay=1, hops=50)
    b = p.Pinger(plan=[[0, 0]], hops=50)
    w.connect(b, a, ("out", n.ping))
    w.connect(a, b, (n.pong, "inp"), time_shifted=2)
    w.connect(a, k, (n.pong, "pong"))
    w.set_initial_event("P", 0)
    return 30, ag


def many(w, st, n):
    """50 agents, ring of events through mosaik: ping i -> agent i, plus timers with different periods"""
    ag = st("Agents")
    p = w.start("Pinger", sim_id="P")
    s = w.start("Source", sim_id="Src", step_size=5).Source(base=1)
    k = w.start("Sink", sim_id="Sink").Sink()
    for i in range(50):
        a = getattr(ag, n.model)(delay=1 + i % 4, period=2 + i % 5)
        b = p.Pinger(plan=[[t, 1000 * i + t] for t in range(i % 7, 40, 3 + i % 5)])
        w.connect(b, a, ("out", n.ping))
        w.connect(s, a, ("level", n.level))
        w.connect(a, k, (n.pong, "pong"), (n.state, "state"))
    w.set_initial_event("P", 0)
    return 60, ag


def two(w, st, n):
    """two instances of the simulator in one scenario, talking to each other with delay"""
    x = st("AgentsX")
    y = st("AgentsY")
    p = w.start("Pinger", sim_id="P")
    k = w.start("Sink", sim_id="Sink").Sink()
    a = getattr(x, n.model)(delay=1, hops=20)
    b = getattr(y, n.model)(delay=2, hops=20)
    g = p.Pinger(plan=[[0, 0], [3, 100]])
    w.connect(g, a, ("out", n.ping))
    w.connect(a, b, (n.pong, n.ping))
    w.connect(b, a, (n.pong, n.ping), time_shifted=1)
    w.connect(a, k, (n.pong, "pong"))
    w.connect(b, k, (n.pong, "pong"))
    w.set_initial_event("P", 0)
    return 60, x


SCENARIOS = [periodic, trigger, future, sametime, shifted, many, two]


def plain(value):
    """As it looks after a trip through JSON."""
    return json.loads(json.dumps(value))


def run(scenario, args, foreign):
    """The traces of one run, in the reference's names, and the seconds it took."""
    names = Names(args, foreign)
    spawned = Spawned(args.spawn) if foreign and args.connect and args.spawn else None
    extra = not (foreign and args.no_extra)
    if not foreign:
        agents = {"python": "ref_agent:RefAgent"}
    elif args.cmd:
        agents = {"cmd": args.cmd}
    else:
        agents = {"connect": args.connect}
    try:
        with world(agents) as w:

            def start(sid):
                return spawned.start(w, "Agents", sid) if spawned else w.start("Agents", sim_id=sid)

            until, ag = scenario(w, start, names)
            echo = ag.echo(1, "zwei", 3.5, None, key={"a": [1, 2]}, flag=True) if extra else None
            began = time.perf_counter()
            w.run(until=until, print_progress=False, shutdown=False)
            took = time.perf_counter() - began
            trace = plain(ag.trace()) if extra else None
            back = {getattr(names, attr): attr for attr in ATTRS}
            for row in trace or []:
                row[1] = {eid: {back.get(a, a): v for a, v in ports.items()} for eid, ports in row[1].items()}
            pinger = driver(w, "P").log if "P" in w._async_world._proxies else None
            sink = sorted(driver(w, "Sink").log, key=lambda row: row[:4])
            return plain(dict(sink=sink, pinger=pinger, trace=trace, echo=echo, errors=w.errors)), took
    finally:
        if spawned and None in spawned.ended():
            print("  a simulator did not exit after stop, and was terminated")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cmd")
    parser.add_argument("--connect")
    parser.add_argument("--spawn")
    parser.add_argument("--model", default="Agent")
    for attr in ATTRS:
        parser.add_argument("--" + attr, default=attr)
    parser.add_argument("--only")
    parser.add_argument("--skip", default="")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--json")
    parser.add_argument("--no-extra", action="store_true", help="the simulator has no extra methods")
    parser.add_argument("--stock", action="store_true", help="do not repair the two scheduler defects of mosaik 3.6.0")
    args = parser.parse_args()
    if not args.cmd and not args.connect:
        parser.error("one of --cmd and --connect is needed")
    if not args.stock:
        import mosaik36_patch  # noqa: F401

    failures, results = 0, {}
    for scenario in SCENARIOS:
        name = scenario.__name__
        if args.only and name not in args.only.split(",") or name in args.skip.split(","):
            continue
        try:
            expected, took = run(scenario, args, False)
            runs = [run(scenario, args, True) for _ in range(args.repeat)]
        except (Exception, SystemExit) as e:
            print(f"FAIL {name}: {type(e).__name__}: {e}", flush=True)
            failures += 1
            continue
        good = True
        for i, (got, _) in enumerate(runs):
            for key in ("sink", "pinger", "trace", "echo", "errors"):
                if key in ("trace", "echo") and args.no_extra or got[key] == expected[key]:
                    continue
                good = False
                print(f"  {name} run {i}: {key} differs")
                print(f"    ref     {str(expected[key])[:600]}\n    foreign {str(got[key])[:600]}")
        results[name] = expected
        print(
            f"{'ok  ' if good else 'FAIL'} {name:10s} sink events {len(expected['sink']):4d}"
            f"  agent steps {len(expected['trace'])}  ref {took * 1e3:.1f} ms  foreign {runs[0][1] * 1e3:.1f} ms"
            f"   {scenario.__doc__}",
            flush=True,
        )
        failures += not good
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
