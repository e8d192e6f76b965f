"""Couples a plant, simulated here, to agents in a Rust program: by RPC, with nothing but the standard library.

    cargo build --example plant_controller      (or with --release)
    python examples/plant_by_rpc.py             all of what follows, with the client below
    python examples/plant_by_rpc.py --aiomas    the same, with aiomas 2.0.1 instead of that client (--codec msgpack|blosc too)

What it shows, each with a line that begins with "ok":
* the agents' timers at t see what the plant wrote for t, and the plant learns of what they do at the exact time;
* two runs have the same fingerprint;
* an owner that is killed in the middle of a step is reported, and the next owner goes on from there (`--on-owner-loss
  wait`), or the program ends (`stop`).

The plant is a room: it loses heat to the outside and gets it from a radiator whose valve the agent `Thermostat` of
examples/plant_controller.rs opens.
"""

import argparse
import functools
import itertools
import json
import math
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
S = 1_000_000_000  # a time is an integer of nanoseconds, or text: "15min"


# --- the client: all that another program needs ------------------------------------------------------------------
class Failed(Exception):
    """A request that the other side refused. Its last line is `kind: message`."""


class Client:
    """Calls methods at HOST:PORT, one after the other.

    A frame is its length (four bytes, the highest first) and so many bytes of JSON: [type, id, content]. A request has
    type 0, an id that its sender chooses, and the content [path, [arguments], {named arguments}]. The reply has the
    same id and type 1, and the result as its content; or type 2, and a text that says what went wrong. A reading whose
    `more` is true did not fit into one frame of 16 MiB: `call("sim/rest")` returns what is left.
    """

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ids = itertools.count()

    def call(self, path, *args, **kwargs):
        """Calls e.g. `sim/step` and returns its result."""
        self.send(path, *args, **kwargs)
        kind, _, content = json.loads(self.receive(struct.unpack(">I", self.receive(4))[0]))
        if kind == 2:
            raise Failed(content)
        return content

    def send(self, path, *args, **kwargs):
        request = json.dumps([0, next(self.ids), [path, args, kwargs]]).encode()
        self.socket.sendall(struct.pack(">I", len(request)) + request)

    def receive(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the other side has closed the connection")
            data += part
        return data

    def close(self):
        self.socket.close()

    def kill(self):
        """Ends the connection as the death of this process would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# --- the same through aiomas ---------------------------------------------------------------------------------------
class AiomasClient:
    """The same requests, made by aiomas: what an aiomas program does, wrapped so that the plant need not be one."""

    def __init__(self, host, port, codec="json"):
        import asyncio

        if sys.version_info >= (3, 10):  # aiomas 2.0.1 itself runs on Python 3.7 to 3.9
            sys.path.insert(0, str(ROOT / "tests/peers/aiomas"))
            import aiomas_compat  # noqa: F401
        import aiomas

        self.failed = aiomas.RemoteException
        self.loop = asyncio.new_event_loop()
        codec = {"json": aiomas.JSON, "msgpack": aiomas.MsgPack, "blosc": aiomas.MsgPackBlosc}[codec]
        self.connection = self.wait(aiomas.rpc.open_connection((host, port), codec=codec))

    def wait(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def call(self, path, *args, **kwargs):
        try:
            return self.wait(self.method(path)(*args, **kwargs))
        except self.failed as error:
            raise Failed(error.remote_traceback) from None

    def send(self, path, *args, **kwargs):
        import asyncio

        self.pending = asyncio.ensure_future(self.method(path)(*args, **kwargs), loop=self.loop)
        self.wait(asyncio.sleep(0.01))  # until it is on its way

    def method(self, path):
        method = self.connection.remote
        for name in path.split("/"):
            method = getattr(method, name)
        return method

    def close(self):
        self.wait(self.connection.close())
        self.loop.close()

    def kill(self):
        self.pending.cancel()
        self.close()


# --- the plant -------------------------------------------------------------------------------------------------------
class Room:
    """A room with a heat capacity of 1 kWh/K, which loses 0.1 kW per Kelvin to an outside at 5 degrees Celsius."""

    CAPACITY, LOSS, OUTSIDE = 1.0, 0.1, 5.0

    def __init__(self, celsius=18.0):
        self.celsius, self.time = celsius, 0

    def run(self, until, heat_kw):
        """Runs to a time with constant heat, exactly."""
        end = self.OUTSIDE + heat_kw / self.LOSS
        passed_h = (until - self.time) / S / 3600
        self.celsius = end + (self.celsius - end) * math.exp(-passed_h * self.LOSS / self.CAPACITY)
        self.time = until


def couple(client, hours):
    """Runs the room beside the agents, in steps of 5 minutes; returns what the agents were told, decided and did."""
    (agent,) = client.call("sim/create", "Thermostat", 1, {"setpoint": 20.0})
    room, heat_kw = Room(), 0.0
    written, decisions, switched = {}, [], []
    for t in range(0, hours * 3600 * S + 1, 300 * S):
        while True:
            # what is written for t; whatever shows before t ends the step there, and nothing has been written yet
            ahead = Room(room.celsius)
            ahead.time = room.time
            ahead.run(t, heat_kw)
            inputs = {agent: {"celsius": {"room": ahead.celsius}}}
            reply = client.call("sim/step", t, inputs, stop_at_output=True)
            room.run(reply["now"], heat_kw)
            decisions += [(at, value) for at, _, port, value in reply["events"] if port == "decisions"]
            if reply["outputs"][agent]["heat_kw"] != heat_kw:
                heat_kw = reply["outputs"][agent]["heat_kw"]
                switched.append((reply["now"], heat_kw))
            if reply["now"] == t:
                break
        written[t] = room.celsius
    return written, decisions, switched


# --- the program with the agents -----------------------------------------------------------------------------------
class Program:
    """The Rust program, as a process that listens at a port of its own."""

    def __init__(self, command, *flags):
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.process = subprocess.Popen([*command, *flags], **pipes)
        line = self.process.stdout.readline()  # listening at tcp://127.0.0.1:40123
        if not line:
            sys.exit(f"{command[0]} does not listen: {self.process.stderr.read()}")
        host, _, port = line.strip().rpartition("/")[2].rpartition(":")
        self.address = host, int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()

    def ended(self):
        """Its exit code and what it said, when it has ended."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def run_once(command, connect, hours):
    with Program(command, "--seed", "7") as program:
        client = connect(*program.address)
        written, decisions, switched = couple(client, hours)
        summary = client.call("sim/stop")
        client.close()
        code, said = program.ended()
    assert code == 0, said
    assert f"fingerprint {summary['fingerprint']}" in said, said
    return written, decisions, switched, summary["fingerprint"]


def timers_see_the_inputs_of_their_instant(command, connect, hours):
    written, decisions, switched, fingerprint = run_once(command, connect, hours)
    assert [at for at, _ in decisions] == [n * 900 * S for n in range(1, hours * 4 + 1)], decisions
    for at, decision in decisions:
        assert decision["celsius"] == written[at], (at, decision, written[at])
    assert switched and all((at - 30 * S) % (900 * S) == 0 for at, _ in switched), switched
    assert min(list(written.values())[24:]) > 18.0 and max(written.values()) < 22.0, written
    print(f"ok: {len(decisions)} timers saw what was written for their instant; {len(switched)} times the valve moved, 30 s later each")
    return fingerprint


def two_runs_have_the_same_fingerprint(command, connect, hours, fingerprint):
    again = run_once(command, connect, hours)[3]
    assert again == fingerprint, (again, fingerprint)
    print(f"ok: the same fingerprint twice, {fingerprint}")


def kill_in_the_middle_of_a_step(program, connect):
    """A master that dies while the agents work for it; returns one that has looked on."""
    master, second = connect(*program.address), connect(*program.address)
    (agent,) = master.call("sim/create", "Thermostat")
    master.call("sim/connect", {agent: ["heat_kw"]})  # of three years the events are not wanted
    master.call("sim/step", 0)
    try:
        second.call("sim/step", 0)
        raise AssertionError("there is a second master")
    except Failed as refused:
        owner = second.call("sim/describe")["owner"]
        assert "NotOwner" in str(refused) and owner in str(refused), refused
    master.send("sim/step", "1000d")
    while not second.call("sim/describe")["under_way"]:
        time.sleep(0.001)
    at = second.call("clock/time")
    assert 0 <= at < 1000 * 86400 * S, at
    try:
        second.call("clock/next_event")
        raise AssertionError("a step is under way")
    except Failed as refused:
        assert "Busy" in str(refused) and "sim/step" in str(refused), refused
    master.kill()
    return second, owner


def the_next_owner_goes_on(command, connect):
    with Program(command, "--on-owner-loss", "wait") as program:
        second, owner = kill_in_the_middle_of_a_step(program, connect)
        while second.call("sim/describe")["under_way"]:
            time.sleep(0.01)
        described = second.call("sim/describe")
        assert described["owner"] is None and described["now"] == 1000 * 86400 * S, described
        unanswered = second.call("sim/unanswered")  # what the lost owner did not get
        assert unanswered["owner"] == owner and unanswered["reply"]["now"] == described["now"], unanswered
        reply = second.call("sim/step", described["now"] + 900 * S)
        assert reply["now"] == described["now"] + 900 * S, reply
        second.call("sim/stop")
        second.close()
        code, said = program.ended()
    assert code == 0 and f"the owner {owner} was lost in the middle of" in said and "goes on from" in said, said
    print("ok: the owner killed in the middle of a step was reported, and the next one went on from there")


def the_program_ends(command, connect):
    with Program(command, "--on-owner-loss", "stop") as program:
        second, owner = kill_in_the_middle_of_a_step(program, connect)
        code, said = program.ended()
        second.close()
    assert code == 1 and f"error: the owner {owner} was lost in the middle of" in said, (code, said)
    assert "has ended at 1000d" in said, said
    print("ok: the owner killed in the middle of a step was reported, and the program ended with exit code 1")


def built(example):
    """What cargo has built last, in debug or release."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    suffix = ".exe" if sys.platform == "win32" else ""
    found = [target / profile / "examples" / (example + suffix) for profile in ("debug", "release")]
    found = [path for path in found if path.exists()]
    return str(max(found, key=lambda path: path.stat().st_mtime)) if found else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help="the Rust program with the agents; default: plant_controller as cargo has built it last")
    parser.add_argument("--aiomas", action="store_true", help="make the requests through aiomas")
    parser.add_argument("--hours", type=int, default=24, help="how long the room is simulated")
    parser.add_argument("--codec", choices=["json", "msgpack", "blosc"], default="json", help="with --aiomas: how requests are written")
    args = parser.parse_args()
    program = args.program or built("plant_controller")
    if program is None or not Path(program).exists():
        sys.exit(f"error: {program or 'plant_controller'} is not there: build it with `cargo build --example plant_controller`")
    command = [program, "serve", "--listen", "127.0.0.1:0", "--codec", args.codec]
    connect = functools.partial(AiomasClient, codec=args.codec) if args.aiomas else Client
    fingerprint = timers_see_the_inputs_of_their_instant(command, connect, args.hours)
    two_runs_have_the_same_fingerprint(command, connect, args.hours, fingerprint)
    the_next_owner_goes_on(command, connect)
    the_program_ends(command, connect)


if __name__ == "__main__":
    main()
