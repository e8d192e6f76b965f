"""What the seven acceptance scenarios leave out: modes, types, API 2.2, async requests, failures, the end of a run.

  python more.py --cmd "target/release/examples/mosaik_more mosaik %(addr)s"
       [--only NAME[,NAME]] [--list] [--stock] [--seconds 30]

Prints `ok NAME`, or `FAIL NAME: expected .. got ..`; the exit status is the number of failures. Every mosaik is the real
one; --stock leaves the two scheduler defects of 3.6.0 in (see mosaik36_patch.py). `stand_in.py` is the test simulator
below in Python, and shows that the expected traces are mosaik's and not our wishes:

  python more.py --cmd "%(python)s tests/peers/mosaik/stand_in.py mosaik %(addr)s"

The test simulator
------------------
Command line: the program's usual one, `mosaik HOST:PORT [--mode exact|window=D|ahead]`, and
  --type hybrid|time-based|event-based   default hybrid. `time-based` registers the model Plain only, `event-based` Echo only
  --api 3.0|2.2                          default 3.0
  --policy stop|restart|escalate         supervision of all agents, default escalate
Simulator parameter (an argument of `world.start`): step_size, in mosaik's steps; with it every step returns t + step_size.
Extra method: trace() -> rows [ns, eid, what, [numbers]] which the agents noted, in the order they noted them.
Entity ids: the model's name in lower case, `_`, and a number from 0 for each model (`recorder_0`).

Recorder()             attrs msg, num, maybe, last_num, last_maybe
    input(trigger) msg    number or list of numbers: notes [now, me, "msg SOURCE,SOURCE", all numbers], sources sorted
    input(trigger) num    f64: last_num = the sum
    input(trigger) maybe  Option<f64>: last_maybe = the first source's
    output last_num f64 (0 at the start), output last_maybe Option<f64> (none at the start)
Timer()                attrs poke, level
    every 1 s, first after 1 s: notes [now, me, "tick", [k]], k = 1, 2, ..
    input(trigger) poke   f64: ignored
    output level          1.0, always
Decider()              attrs demand, decision, decided
    input(trigger) demand f64: 0.3 s later the sum x of its sources ripens: decision = x + 1, and the event decided x + 1
    output decision       f64 (0 at the start)
    output(event) decided
Plain(base = 0)        attrs level, double
    input level           f64: sets level to the sum of its sources (base at the start)
    output double         2 * level
Echo(alarm = 0)        attrs ping, pong
    input(trigger) ping   list of integers: each v is answered 2 s later by the event v + 1
    output(event) pong
    alarm > 0: the start arranges the event -1 at alarm s
Tree(leaves = 2)       no attrs; its children are that many Leaf
Leaf (not public)      attrs value; created by Tree, numbered through: leaf_0, leaf_1, ..; each but a tree's first is related
    output value          to the leaf before it; value = place in its tree, from 0 (integer)
Asker()                attrs ask, answer
    input(trigger) ask    [name] or [name, argument]: performs that async request
                             get_progress;  get_related_entities without argument, with an id, with a list of ids;
                             get_data {full id: [attr]};  set_data {my full id: {full id: {attr: value}}};  set_event time
    output(event) answer  {"ok": result} or {"failed": [mosaik's exception type, its message]}
Bomb()                 attrs poke, count
    input(trigger) poke   list of integers: adds each to count; 13 panics with the message "boom"
    output count          integer, 0 at the start
"""

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from worlds import driver, end, world

SCENARIOS = []
HERE = Path(__file__).resolve().parent
ARGS = None


def scenario(function):
    SCENARIOS.append(function)
    return function


class Mismatch(Exception):
    pass


def same(a, b):
    """Equal as JSON, with one NaN; 1 and 1.0 are the same number."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def expect(what, got, expected):
    if not same(got, expected):
        raise Mismatch(f"{what}: expected {expected!r} got {got!r}"[:1500])


def expect_in(what, got, parts):
    missing = [part for part in parts if part not in got]
    if missing:
        raise Mismatch(f"{what}: expected {missing!r} in it, got {got[:1000]!r}")


class Run:
    """One world with the test simulator in it."""

    def __init__(self, flags="", *, own_end=False, config=None, params=None, **world_config):
        self.cmd = {"cmd": f"{ARGS.cmd} {flags}".strip(), "auto_terminate": not own_end, **(config or {})}
        self.params, self.world_config = params or {}, world_config
        self.requests = []  # [method, positional arguments, answer]

    def __enter__(self):
        self.scope = world(self.cmd, seconds=ARGS.seconds, **self.world_config)
        self.w = self.scope.__enter__()
        try:
            self.agents = self.w.start("Agents", sim_id="Agents", **self.params)
        except BaseException:
            self.scope.__exit__(*sys.exc_info())
            raise
        proxy = self.w._async_world._proxies["Agents"]
        while hasattr(proxy, "_out"):
            proxy = proxy._out
        self.process = proxy._process[0]
        send = proxy._channel.send

        async def tapped(request):
            answer = await send(request)
            if request[0] in ("step", "get_data"):
                self.requests.append([request[0], list(request[1]), answer])
            return answer

        proxy._channel.send = tapped
        return self

    def __exit__(self, *exc):
        return self.scope.__exit__(*exc)

    def driver(self, name, sid=None, model=None, step_size=1, **params):
        """Starts a driver simulator and makes one entity in it."""
        factory = self.w.start(name, sim_id=sid or name, **({"step_size": step_size} if step_size != 1 else {}))
        return getattr(factory, name)(**params)

    def talker(self, plan, sid="Talker"):
        talker = self.driver("Talker", sid, plan=plan)
        self.w.set_initial_event(sid, plan[0][0])
        return talker

    def run(self, until, **options):
        """Runs to the end, and fails if mosaik logged an error."""
        self.go(until, **options)
        expect("errors in mosaik's log", self.w.errors, [])

    def go(self, until, **options):
        self.w.run(until=until, print_progress=False, shutdown=False, **options)

    def steps(self):
        """The times of the steps."""
        return [request[1][0] for request in self.requests if request[0] == "step"]

    def log(self, sid):
        """[time, value] of what a driver has logged."""
        return [[row[0], row[4]] for row in driver(self.w, sid).log]

    def read(self, entity, attr):
        return self.w.get_data([entity], attr)[entity][attr]


@scenario
def two_sources_and_a_list_on_one_trigger():
    """One call of the input, with all sources in sorted order."""
    with Run() as r:
        recorder = r.agents.Recorder()
        for sid, plan in [("B", [[1, [2, 3]], [4, [4]]]), ("A", [[1, 1]])]:
            r.w.connect(r.talker(plan, sid), recorder, ("out", "msg"))
        r.run(6)
        expect(
            "trace",
            r.agents.trace(),
            [
                [1_000_000_000, "recorder_0", "msg A.talk_0,B.talk_0", [1, 2, 3]],
                [4_000_000_000, "recorder_0", "msg B.talk_0", [4]],
            ],
        )
        expect("steps", r.steps(), [0, 1, 4])


@scenario
def a_persistent_source_on_a_trigger_comes_with_every_step():
    """So mosaik has it, also in steps which the source did not trigger; those at 1 and 3 are the timer's."""
    with Run() as r:
        recorder, timer = r.agents.Recorder(), r.agents.Timer()
        r.w.connect(r.driver("Source", base=10, step_size=2), recorder, ("level", "msg"))
        r.w.connect(timer, r.driver("Sink"), "level")
        r.run(4)
        expect("steps", r.steps(), [0, 1, 2, 3])
        rows = [[row[0] // 10**9, *row[3]] for row in r.agents.trace() if row[1] == "recorder_0"]
        expect("time and value", rows, [[0, 10], [1, 10], [2, 12], [3, 12]])


@scenario
def nan_and_infinity_come_and_go():
    with Run() as r:
        recorder, sink = r.agents.Recorder(), r.driver("Sink")
        talker = r.talker([[1, math.nan], [2, math.inf], [3, -math.inf], [4, 0.1]])
        r.w.connect(talker, recorder, ("out", "num"))
        r.w.connect(recorder, sink, "last_num")
        r.run(6)
        expect("sink", r.log("Sink"), [[0, 0], [1, math.nan], [2, math.inf], [3, -math.inf], [4, 0.1]])


@scenario
def null_comes_and_goes_as_an_option():
    with Run() as r:
        recorder, sink = r.agents.Recorder(), r.driver("Sink")
        r.w.connect(r.talker([[1, 5.0], [2, None]]), recorder, ("out", "maybe"))
        r.w.connect(recorder, sink, "last_maybe")
        r.run(4)
        expect("sink", r.log("Sink"), [[0, None], [1, 5], [2, None]])


@scenario
def null_where_a_number_is_meant_is_a_failure():
    with Run() as r:
        r.w.connect(r.talker([[1, None]]), r.agents.Recorder(), ("out", "num"))
        r.go(4)
        expect("number of errors", len(r.w.errors), 1)
        expect_in("error", r.w.errors[0], ["Agents aborted the simulation", "recorder_0", "num", "Talker.talk_0"])


@scenario
def time_resolution_of_a_tenth():
    """A tick is 0.1 s: the 1 s timer is due at every tenth, the answer after 0.3 s exactly at the third."""
    with Run(time_resolution=0.1) as r:
        timer, decider, sink = r.agents.Timer(), r.agents.Decider(), r.driver("Sink")
        r.w.connect(timer, sink, "level")
        r.w.connect(r.talker([[7, 1.5]]), decider, ("out", "demand"))
        r.w.connect(decider, sink, "decided")
        r.run(35)
        expect("steps", r.steps(), [0, 7, 10, 20, 30])
        expect("decided", [row for row in r.log("Sink") if isinstance(row[1], list)], [[10, [2.5]]])
        expect("trace", r.agents.trace(), [[k * 10**9, "timer_0", "tick", [k]] for k in (1, 2, 3)])


@scenario
def time_resolution_of_a_minute():
    """A tick is 60 s: each step brings 60 activations at their own exact times, and the answer waits for the tick."""
    with Run(time_resolution=60) as r:
        timer, decider, sink = r.agents.Timer(), r.agents.Decider(), r.driver("Sink")
        r.w.connect(timer, sink, "level")
        r.w.connect(r.talker([[1, 1.5]]), decider, ("out", "demand"))
        r.w.connect(decider, sink, "decided")
        r.run(4)
        expect("steps", r.steps(), [0, 1, 2, 3])
        expect("decided", [row for row in r.log("Sink") if isinstance(row[1], list)], [[2, [2.5]]])
        expect("trace", r.agents.trace(), [[k * 10**9, "timer_0", "tick", [k]] for k in range(1, 181)])


def ripening(mode, steps, metered, decided):
    with Run(f"--mode {mode}") as r:
        talker = r.talker([[0, 10.0], [900, 910.0], [1800, 1810.0]])
        decider, meter, sink = r.agents.Decider(), r.driver("Meter", step_size=900), r.driver("Sink")
        r.w.connect(talker, decider, ("out", "demand"))
        r.w.connect(decider, meter, ("decision", "p"))
        r.w.connect(decider, sink, "decided")
        r.run(2700)
        expect("a time-stepped partner sees", r.log("Meter"), metered)
        expect("an event-based partner sees", r.log("Sink"), decided)
        expect("steps", r.steps(), steps)


@scenario
def an_answer_after_300_ms_in_exact():
    """Too late for the grid's interval; the event comes at the next tick."""
    steps = [0, 1, 900, 901, 1800, 1801]
    ripening("exact", steps, [[0, 0], [900, 11], [1800, 911]], [[1, [11]], [901, [911]], [1801, [1811]]])


@scenario
def an_answer_after_300_ms_in_a_window():
    """In time for the grid's interval."""
    steps = [0, 900, 1800]
    ripening("window=900s", steps, [[0, 11], [900, 911], [1800, 1811]], [[0, [11]], [900, [911]], [1800, [1811]]])


@scenario
def an_answer_after_300_ms_in_ahead():
    """As in exact: running ahead stops where the decision ripens."""
    steps = [0, 1, 900, 901, 1800, 1801]
    ripening("ahead", steps, [[0, 0], [900, 11], [1800, 911]], [[1, [11]], [901, [911]], [1801, [1811]]])


def ticking(mode, steps):
    with Run(f"--mode {mode}") as r:
        source = r.driver("Source", step_size=900)
        timer, meter = r.agents.Timer(), r.driver("Meter", step_size=900)
        r.w.connect(source, timer, ("level", "poke"))
        r.w.connect(timer, meter, ("level", "p"))
        r.run(2700)
        expect("number of steps", len(r.steps()), len(steps))
        expect("steps", r.steps(), steps)
        expect("the grid sees", r.log("Meter"), [[0, 1], [900, 1], [1800, 1]])
        trace = r.agents.trace()
        # 2,700 s is both the end, which mosaik excludes, and the limit of the last step, which `ahead` may reach.
        expect("number of activations", 2699 <= len(trace) <= 2700, True)
        expect("trace", trace, [[k * 10**9, "timer_0", "tick", [k]] for k in range(1, len(trace) + 1)])


@scenario
def a_1_s_timer_under_900_s_steps_in_exact():
    ticking("exact", list(range(2700)))


@scenario
def a_1_s_timer_under_900_s_steps_in_ahead():
    ticking("ahead", [0, 900, 1800])


def plain(flags, **options):
    """A time-based simulator: every 2 s, whatever else happens."""
    with Run(flags, params={"step_size": 2}, **options) as r:
        source, entity, sink = r.driver("Source", base=10), r.agents.Plain(), r.driver("Sink")
        r.w.connect(source, entity, "level")
        r.w.connect(entity, sink, "double")
        r.run(7)
        expect("type", r.agents.type, "time-based")
        expect("steps", r.steps(), [0, 2, 4, 6])
        expect("sink", r.log("Sink"), [[0, 20], [2, 24], [4, 28], [6, 32]])
        return r.requests


@scenario
def a_time_based_simulator():
    plain("--type time-based")


@scenario
def an_event_based_simulator():
    """Stepped when it is triggered and when it asked for it; no step at 0."""
    with Run("--type event-based") as r:
        pinger, echo, sink = r.driver("Pinger", plan=[[1, 10], [2, 20], [7, 70]]), r.agents.Echo(), r.driver("Sink")
        r.w.set_initial_event("Pinger", 1)
        r.w.connect(pinger, echo, ("out", "ping"))
        r.w.connect(echo, sink, "pong")
        r.run(9)
        expect("type", r.agents.type, "event-based")
        expect("steps", r.steps(), [1, 2, 3, 4, 7])
        expect("sink", r.log("Sink"), [[3, [11]], [4, [21]]])


@scenario
def an_event_based_simulator_with_a_pending_event_at_setup_done():
    with Run("--type event-based") as r:
        r.w.connect(r.agents.Echo(alarm=5), r.driver("Sink"), "pong")
        r.go(9)
        expect("number of errors", len(r.w.errors), 1)
        said = "mosaik will not step this simulator: declare hybrid or call `world.set_initial_event`"
        expect_in("error", r.w.errors[0], ["Agents aborted the simulation", said])
        expect("steps", r.steps(), [])


@scenario
def a_hybrid_simulator_with_a_pending_event_at_setup_done():
    """The same agents, and nothing is lost."""
    with Run() as r:
        r.w.connect(r.agents.Echo(alarm=5), r.driver("Sink"), "pong")
        r.run(9)
        expect("steps", r.steps(), [0, 5])
        expect("sink", r.log("Sink"), [[5, [-1]]])


@scenario
def api_2_2():
    """`step` comes without max_advance."""
    requests = plain("--api 2.2 --type time-based", config={"api_version": "2.2"})
    expect("arguments of a step", {len(r[1]) for r in requests if r[0] == "step"}, {2})


@scenario
def children_and_relations():
    with Run() as r:
        (first, second), sink = r.agents.Tree.create(2, leaves=3), r.driver("Sink")
        expect("trees", [first.eid, second.eid], ["tree_0", "tree_1"])
        expect("children", [(c.eid, c.type) for c in second.children], [(f"leaf_{n}", "Leaf") for n in (3, 4, 5)])
        edges = {tuple(sorted(edge)) for edge in r.w.entity_graph.edges}
        related = [("leaf_0", "leaf_1"), ("leaf_1", "leaf_2"), ("leaf_3", "leaf_4"), ("leaf_4", "leaf_5")]
        expect("relations", edges == {(f"Agents.{a}", f"Agents.{b}") for a, b in related}, True)
        expect("Leaf is public", "Leaf" in dir(r.agents) or is_public(r.agents, "Leaf"), False)
        for leaf in second.children:
            r.w.connect(leaf, sink, "value")
        r.run(2)
        expect("sink", r.log("Sink"), [[0, 0], [0, 1], [0, 2]])


def is_public(factory, model):
    try:
        getattr(factory, model)
        return True
    except Exception:
        return False


@scenario
def get_data_before_the_run_and_after_it():
    with Run() as r:
        a, b = r.agents.Plain(base=1.5), r.agents.Plain(base=-2)
        r.w.connect(r.driver("Source", base=10), b, "level")
        before = r.w.get_data([a, b], "double")
        expect("before", [before[a]["double"], before[b]["double"]], [3, -4])
        r.run(3)
        expect("after", [r.read(a, "double"), r.read(b, "double")], [3, 20])


def asking(asks, until=9, connect=None, **options):
    """The answers to `asks` [[time, [name, argument]], ..], and the run."""
    with Run() as r:
        asker, meter, sink = r.agents.Asker(), r.driver("Meter"), r.driver("Sink")
        r.w.connect(r.talker(asks), asker, ("out", "ask"))
        if connect:
            r.w.connect(meter, asker, **connect)
        r.w.connect(asker, sink, "answer")
        r.run(until, **options)
        return [[t, answer] for t, answers in r.log("Sink") for answer in answers], r.steps(), r.log("Meter")


@scenario
def async_get_progress():
    answers, _, _ = asking([[0, ["get_progress"]], [4, ["get_progress"]]])
    expect("times", [t for t, _ in answers], [0, 4])
    (start,), (later,) = answers[0][1].values(), answers[1][1].values()
    expect("percentages", [type(start), type(later), 0 <= start < later <= 100], [float, float, True])


@scenario
def async_get_related_entities_in_three_forms():
    me, talker, sink = "Agents.asker_0", "Talker.talk_0", "Sink.sink_0"
    what = {
        me: {"sid": "Agents", "type": "Asker"},
        talker: {"sid": "Talker", "type": "Talker"},
        sink: {"sid": "Sink", "type": "Sink"},
        "Meter.meter_0": {"sid": "Meter", "type": "Meter"},
    }
    answers, _, _ = asking(
        [
            [1, ["get_related_entities"]],
            [2, ["get_related_entities", me]],
            [3, ["get_related_entities", [talker, sink]]],
        ]
    )
    graph = answers[0][1]["ok"]
    expect("nodes", graph["nodes"], what)
    expect("edges", sorted(sorted(edge[:2]) for edge in graph["edges"]), [[me, sink], [me, talker]])
    expect("related to one", answers[1], [2, {"ok": {talker: what[talker], sink: what[sink]}}])
    expect("related to a list", answers[2], [3, {"ok": {talker: {me: what[me]}, sink: {me: what[me]}}}])


@scenario
def async_get_related_entities_of_nobody():
    answers, _, _ = asking([[1, ["get_related_entities", "Nobody.x"]], [2, ["get_progress"]]])
    expect("times", [t for t, _ in answers], [1, 2])
    expect("failure", answers[0][1]["failed"][0], "KeyError")


@scenario
def async_get_data():
    asks = [[1, ["get_data", {"Meter.meter_0": ["p"]}]], [4, ["get_data", {"Meter.meter_0": ["p"]}]]]
    answers, _, _ = asking(asks, connect={"async_requests": True})
    expect("answers", answers, [[t, {"ok": {"Meter.meter_0": {"p": t}}}] for t in (1, 4)])


@scenario
def async_set_data():
    asks = [[2, ["set_data", {"Agents.asker_0": {"Meter.meter_0": {"limit": 7.5}}}]]]
    answers, _, metered = asking(asks, connect={"async_requests": True})
    expect("answers", answers, [[2, {"ok": None}]])
    expect("the other's next step", metered, [[3, 7.5]])


@scenario
def async_get_data_and_set_data_without_permission():
    answers, _, metered = asking(
        [
            [1, ["get_data", {"Meter.meter_0": ["p"]}]],
            [2, ["set_data", {"Agents.asker_0": {"Meter.meter_0": {"limit": 7.5}}}]],
            [3, ["get_progress"]],
        ]
    )
    expect("times", [t for t, _ in answers], [1, 2, 3])
    for _, answer in answers[:2]:
        expect("failure", answer["failed"][0], "ScenarioError")
        expect_in("its message", answer["failed"][1], ["No connection from Meter to Agents"])
    expect("meter", metered, [])


@scenario
def async_set_event_in_real_time():
    answers, steps, _ = asking([[1, ["set_event", 4]]], until=6, rt_factor=0.05)
    expect("answers", answers, [[1, {"ok": None}]])
    expect("steps", steps, [0, 1, 4])


@scenario
def async_set_event_out_of_real_time():
    answers, steps, _ = asking([[1, ["set_event", 4]]], until=6)
    expect("failure", [answers[0][0], answers[0][1]["failed"][0]], [1, "SimulationError"])
    expect_in("its message", answers[0][1]["failed"][1], ["tried to set an event in non-real-time mode"])
    expect("steps", steps, [0, 1])


def panicking(policy, check):
    """Two bombs; the first gets 5, then 13 at 50 s, then 1 at 100 s; the second 5, 2, 1 at the same times."""
    with Run(f"--policy {policy}", own_end=True) as r:
        meter, bombs = r.driver("Meter", step_size=100), r.agents.Bomb.create(2)
        for bomb, middle in zip(bombs, (13, 2)):
            pinger = r.driver("Pinger", f"P{middle}", plan=[[0, 5], [50, middle], [100, 1]])
            r.w.set_initial_event(f"P{middle}", 0)
            r.w.connect(pinger, bomb, ("out", "poke"))
            r.w.connect(bomb, meter, ("count", bomb.eid))
        r.go(201)
        check(r, {eid: [r[4] for r in driver(r.w, "Meter").log if r[2] == eid] for eid in ("bomb_0", "bomb_1")})
        end(r.w)
        return ended(r.process)


def ended(process, seconds=3):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return f"still there after {seconds} s"


@scenario
def a_panic_under_stop():
    """The one stops and keeps its output, the other goes on."""

    def check(r, counts):
        expect("errors", r.w.errors, [])
        expect("counts", counts, {"bomb_0": [5, 5, 5], "bomb_1": [5, 8, 8]})

    with stderr() as said:
        expect("exit code", panicking("stop", check), 0)
    expect_in("stderr", said(), ["bomb_0", "poke", "boom"])


@scenario
def a_panic_under_restart():
    """The one begins anew, the other goes on."""

    def check(r, counts):
        expect("errors", r.w.errors, [])
        expect("counts", counts, {"bomb_0": [5, 1, 1], "bomb_1": [5, 8, 8]})

    with stderr() as said:
        expect("exit code", panicking("restart", check), 0)
    expect_in("stderr", said(), ["bomb_0", "poke", "boom"])


@scenario
def a_panic_under_escalate():
    """mosaik gets the failure, and the program does not exit with 0."""

    def check(r, counts):
        expect("number of errors", len(r.w.errors), 1)
        expect_in("error", r.w.errors[0], ["Agents aborted the simulation", "bomb_0", "poke", "boom", "50"])
        expect("counts", counts, {"bomb_0": [5], "bomb_1": [5]})
        expect("steps that mosaik got an answer to", r.steps(), [0])

    with stderr():
        expect("exit code is not 0", panicking("escalate", check) not in (0, None), True)


class stderr:
    """Keeps what this process and its children write to stderr; calling the result reads it."""

    def __enter__(self):
        self.file = tempfile.TemporaryFile()
        sys.stderr.flush()
        self.before = os.dup(2)
        os.dup2(self.file.fileno(), 2)
        return self

    def __call__(self):
        self.file.seek(0)
        return self.file.read().decode(errors="replace")

    def __exit__(self, kind, error, _):
        sys.stderr.flush()
        os.dup2(self.before, 2)
        os.close(self.before)
        if error is not None:
            sys.stderr.write(self())


@scenario
def stop_is_answered_at_once():
    """Within 0.1 s of `stop` the program is gone, with exit code 0 (the best of three: others use this machine too)."""
    times = []
    for _ in range(3):
        with Run(own_end=True) as r:
            r.w.connect(r.agents.Timer(), r.driver("Sink"), "level")
            r.run(5)
            began = time.perf_counter()
            r.w.shutdown()
            expect("exit code", ended(r.process), 0)
            times.append(time.perf_counter() - began)
    expect(f"stop to exit within 0.1 s ({min(times):.3f} s)", min(times) < 0.1, True)


@scenario
def mosaik_is_killed():
    """The program says so on stderr, and does not exit with 0."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        wrapped = f"%(python)s {HERE / 'more.py'} --report {code} {ARGS.cmd}"
        victim = [sys.executable, str(HERE / "more.py"), "--victim", "--cmd", wrapped]
        done = subprocess.run(victim, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ARGS.seconds)
        expect_in("the victim", done.stdout, ["about to be killed"])
        end = time.monotonic() + 5
        while not (code.exists() and code.read_text().endswith(".")) and time.monotonic() < end:
            time.sleep(0.02)
        expect("the program ended within 5 s", code.exists(), True)
        expect("exit code is not 0", code.read_text() not in ("0.", "None."), True)
        expect_in("stderr", done.stderr, ["mosaik"])


def be_the_victim():
    """Runs a world and kills itself in the middle of it, without a word to the simulator."""
    with Run() as r:
        timer, talker = r.agents.Timer(), r.talker([[3, 1.0]])
        r.w.connect(talker, timer, ("out", "poke"))
        r.w.connect(timer, r.driver("Sink"), "level")

        def step(*_):
            print("about to be killed", flush=True)
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

        driver(r.w, "Talker").step = step
        r.run(5)


def report(path, command):
    """Runs `command` and writes its exit code to `path`: for when the one that starts it does not live to see it."""
    code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
    Path(path).write_text(f"{code}.")
    return code


def main():
    global ARGS
    if sys.argv[1:2] == ["--report"]:
        return report(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cmd")
    parser.add_argument("--only", help="names of scenarios, or the beginnings of them")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("--seconds", type=float, default=30, help="the longest that mosaik may wait for one answer")
    parser.add_argument("--victim", action="store_true", help=argparse.SUPPRESS)
    ARGS = parser.parse_args()
    if ARGS.list:
        for s in SCENARIOS:
            print(s.__name__)
        return 0
    if not ARGS.cmd:
        parser.error("--cmd is needed")
    if not ARGS.stock:
        import mosaik36_patch  # noqa: F401
    if ARGS.victim:
        return be_the_victim()

    chosen = [s for s in SCENARIOS if not ARGS.only or s.__name__.startswith(tuple(ARGS.only.split(",")))]
    if not chosen:
        parser.error(f"no scenario is called {ARGS.only}")
    failures = 0
    for s in chosen:
        try:
            s()
            print(f"ok   {s.__name__}", flush=True)
        except Mismatch as mismatch:
            failures += 1
            print(f"FAIL {s.__name__}: {mismatch}", flush=True)
        except (Exception, SystemExit) as error:
            failures += 1
            print(f"FAIL {s.__name__}: {type(error).__name__}: {error}", flush=True)
    print(f"{len(chosen) - failures} of {len(chosen)} scenarios ok")
    return failures


if __name__ == "__main__":
    sys.exit(main())
