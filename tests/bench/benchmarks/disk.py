"""Counting what a task keeps on its disk where no quota does."""
import functools
import json
import subprocess

from harness import OURS, Benchmark

FILES_EACH, DRIVES = 100, 3
# Beside the looks goes a lap over everything, which takes 1/100 of a core while nothing changes (runner/disk_watch.cc).
LAP_MS_PER_INTERVAL = 10


class Tree:
    """A million files in ten thousand folders."""

    def __init__(self, env):
        self.env, self.folders = env, env.few(10_000)

    @functools.cached_property
    def drives(self):
        argv = [self.env.bin / "drive_disk", self.env.scratch / "tree", str(self.folders), str(FILES_EACH)]
        return [json.loads(subprocess.run(argv, check=True, capture_output=True).stdout) for _ in range(DRIVES)]

    def cost(self, of, more=0.0):
        return lambda: [drive[of] + more for drive in self.drives]


def benchmarks(env):
    tree = Tree(env)

    def beside_a_walk(name, title, ours):
        return Benchmark(name, "ms CPU", title, {OURS: ours, "full walk": tree.cost("walk")}, rounds=1)

    return [beside_a_walk("disk-unchanged", "an interval of 1 s, a million files, nothing has changed: look and share of a lap",
                          tree.cost("unchanged", LAP_MS_PER_INTERVAL)),
            beside_a_walk("disk-one-file", "the same when one file has grown", tree.cost("one_file", LAP_MS_PER_INTERVAL)),
            beside_a_walk("disk-first", "the first count", tree.cost("first"))]
