"""From the end of one process to the first instruction of the next, in a whole task that `dewar run` runs."""
import pathlib
import subprocess

from benchmarks.launch import Attempts
from harness import LIMIT, OURS, Benchmark


class Chain:
    """Processes that wait for each other; each writes down when it began, and ends."""

    def __init__(self, env, length):
        self.env, self.length, self.number = env, length, 0

    def file(self):
        path = self.env.scratch / "chain.yaml"
        names = [f"p{i}" for i in range(self.length)]
        processes = "".join(f"  - {{name: {name}, cmdline: 'true', min_duration: 0}}\n" for name in names)
        path.write_text(f"name: chain\nprocesses:\n{processes}order: [{', '.join(names)}]\n"
                        "resources: {cpu: 0.5, ram: 256MB}\n"
                        f"sandbox: {{cpu_quota: 1, pids: 100, binds: ['{self.env.bin}/bench_first:/usr/bin/bash']}}\n")
        return path, names

    def run(self):
        self.number += 1
        file, names = self.file()
        work = self.env.scratch / "chains"
        subprocess.run([self.env.bin / "dewar", "run", "-o", "json", "--work-dir", work, "--task-id", f"c{self.number}", file],
                       check=True, capture_output=True)
        logs = next(pathlib.Path(work).glob(f"slaves/*/frameworks/*/executors/c{self.number}/runs/latest/.logs"))
        return [int.from_bytes((logs / name / "0" / "stdout").read_bytes(), "little") for name in names]


def hops(moments):
    return [(after - before) / 1e3 for before, after in zip(moments, moments[1:])]


def benchmarks(env):
    env = env.inside("hop")
    chain, attempts = Chain(env, env.few(100, 10)), Attempts(env)

    def limit():
        """One launch after the other: what is left of one after its first instruction, and the next one's way there."""
        told = attempts.limit(chain.length)
        first, whole = told["first_us"], told["whole_us"]
        return [whole[i] - first[i] + first[i + 1] for i in range(len(first) - 1)]

    return [Benchmark("hop", "us", "in a chain of 100: from the end of one to the first instruction of the next",
                      {OURS: lambda: hops(chain.run()), LIMIT: limit})]
