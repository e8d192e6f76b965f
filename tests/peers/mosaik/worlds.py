"""What the scenarios share: a mosaik world that cannot hang, and a simulator that is started before it is connected to."""

import asyncio
import shlex
import subprocess
import time
import warnings
from contextlib import contextmanager

import mosaik
from loguru import logger
from mosaik.exceptions import SimulationError

warnings.simplefilter("ignore")
logger.remove()

DRIVERS = {name: {"python": f"drivers:{name}"} for name in ("Source", "Pinger", "Talker", "Sink", "Meter")}


@contextmanager
def world(agents: dict, seconds: float = 60, **config):
    """A world with the drivers and `agents` as "Agents"; `world.errors` is what mosaik logs at level ERROR.

    Any one call that takes longer than `seconds` raises TimeoutError: mosaik waits for some answers for ever.
    """
    errors = []
    logger.enable("mosaik")
    handler = logger.add(lambda message: errors.append(str(message)), level="ERROR")
    made = mosaik.World({**DRIVERS, "Agents": agents}, skip_greetings=True, configure_logging=False, **config)
    made.errors = errors
    forever = made.loop.run_until_complete

    async def limited(future):
        try:
            return await asyncio.wait_for(future, seconds)
        except asyncio.TimeoutError:
            raise TimeoutError(f"mosaik still waits for an answer after {seconds} s") from None

    made.loop.run_until_complete = lambda future: forever(limited(future))
    try:
        yield made
    finally:
        logger.remove(handler)
        try:
            end(made)
        except Exception as e:
            print(f"  shutdown: {type(e).__name__}: {e}")


def end(world):
    """Shuts the world down, also after a failure, when mosaik leaves the other simulators' tasks waiting."""
    if not world.loop.is_closed():
        for task in asyncio.all_tasks(world.loop):
            if task.get_name().startswith("Runner for"):
                task.cancel()
    world.shutdown()


def driver(world, sid):
    """The driver object behind `sid`."""
    return world._async_world._proxies[sid].sim


class Spawned:
    """Simulators that listen: each is started right before mosaik connects to it."""

    def __init__(self, command: str):
        self.command = command
        self.processes = []

    def start(self, world, name: str, sid: str, **params):
        process = subprocess.Popen(shlex.split(self.command))
        self.processes.append(process)
        # Asking for a refused connection costs nothing, and looking for the listener by connecting to it would use
        # up the one connection it serves.
        end = time.monotonic() + 20
        while True:
            try:
                return world.start(name, sim_id=sid, **params)
            except SimulationError as e:
                if "Could not connect" not in str(e) or time.monotonic() > end:
                    raise
                if process.poll() is not None:
                    raise RuntimeError(f"`{self.command}` ended with exit code {process.returncode}") from None
                time.sleep(0.02)

    def ended(self) -> list:
        """The exit codes; one that is still there 3 s after `stop` is terminated, and counts as None."""
        codes = []
        for process in self.processes:
            try:
                codes.append(process.wait(3))
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
                codes.append(None)
        return codes
