"""Import before a run: repairs two defects of mosaik 3.6.0 that 3.7.0 repairs as well (3.7 needs Python >= 3.12).

1. The progress of successors ignores a predecessor that is inside step() (a race of remote simulators).
2. Cancelled futures pile up in Progress (runs with event triggers take quadratic time).
"""

from importlib.metadata import version

if tuple(map(int, version("mosaik").split(".")[:2])) < (3, 7):
    from math import ceil
    from time import perf_counter

    import mosaik.progress
    import mosaik.scheduler
    from mosaik.tiered_time import TieredTime

    def advance_progress(sim, world):
        ancestors = [
            delay.earliest_sum(ancestor.current_step or ancestor.next_steps[0])
            for ancestor, delay in sim.triggering_ancestors.items()
            if ancestor.current_step or ancestor.next_steps
        ]
        own = [*sim.next_steps[:1], *([sim.current_step] if sim.current_step else [])]
        wall = [TieredTime(ceil((perf_counter() - sim.rt_start) / world.rt_factor))] if world.rt_factor else []
        new = min([*ancestors, *own, *wall, TieredTime(world.until) + sim.from_world_time])
        sim.progress.set(new)
        sim.tqdm.update(new.time - sim.tqdm.n)

    mosaik.scheduler.advance_progress = advance_progress

    add_trigger = mosaik.progress.Progress._add_trigger

    async def add_trigger_without_the_dead(self, *args):
        self._futures = [entry for entry in self._futures if not entry[1].done()]
        return await add_trigger(self, *args)

    mosaik.progress.Progress._add_trigger = add_trigger_without_the_dead
