"""Measuring attempts once a second: the CPU time of it, and what a runner costs that measures itself."""
import json
import pathlib
import shutil
import statistics
import subprocess
import time

import shield
from benchmarks.size import GROUP, IdleTasks, program_of
from harness import LIMIT, OURS, Benchmark


class Sleepers:
    """Attempts that sleep, or run for a moment each second; made once for all rounds."""

    def __init__(self, env, count, running):
        self.env, self.count, self.running = env, count, running
        self.name = f"sample-{count}-{'running' if running else 'asleep'}"
        self.folder = env.scratch / self.name
        self.holder, self.files = None, ""

    def prepare(self):
        if self.holder:
            return
        self.folder.mkdir()
        self.holder = subprocess.Popen([self.env.bin / "drive_sample", "make", self.name, str(self.count),
                                        *(["all"] if self.running else [])],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lines = []
        for line in self.holder.stdout:
            if line == "ready\n":
                break
            lines.append(line)
        else:
            raise RuntimeError("the sleepers could not be made")
        self.files = "".join(lines)

    def us(self, *argv, text=None):
        group = [self.holder.pid] if self.running else []
        ran = subprocess.run([str(a) for a in (*argv, *group)], input=text, capture_output=True, text=True, check=True)
        # A second of each ten reads more than the others: the mean is what it costs.
        return [statistics.mean(json.loads(ran.stdout)["us"])]

    def ours(self):
        self.prepare()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        return self.us(self.env.bin / "drive_sample", "look", self.name, self.count, self.folder, 60)

    def limit(self):
        self.prepare()
        return self.us(self.env.bin / "limit_sample", 60, text=self.files)

    def after(self):
        if self.holder:
            self.holder.stdin.close()
            self.holder.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class IdleRunners(IdleTasks):
    """Tasks that sleep: what their runners do all the same."""
    SECONDS = 20

    def measure(self, number_of):
        file = self.env.scratch / "idle.yaml"
        file.write_text("name: idle\nprocesses: [{name: idle, cmdline: \"exec sleep 100000\"}]\nsandbox: {network: none}\n")
        work = self.env.scratch / f"runners-{self.count}"
        shield.make_everywhere(GROUP)
        try:
            for number in range(self.count):
                self.start(file, work, number)
            time.sleep(2)
            runners = [pid for pid in self.pids() if program_of(pid) == "dewar-runner"]
            begin, then = time.monotonic(), [number_of(pid) for pid in runners]
            time.sleep(self.SECONDS)
            passed = time.monotonic() - begin
            return [(number_of(pid) - was) / passed for pid, was in zip(runners, then)]
        finally:
            self.stop()
            shutil.rmtree(work, ignore_errors=True)

    def cpu(self):
        return self.measure(lambda pid: int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e3)

    def wake_ups(self):
        def switches(pid):
            lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))
        return self.measure(switches)


def benchmarks(env):
    found = []
    for count in [10] if env.quick else [10, 100, 1000, 4000]:
        idle = Sleepers(env, count, False)
        found.append(Benchmark(f"sample-{count}", "us", f"CPU time of a second's sample of an attempt that sleeps, of {count}",
                               {OURS: idle.ours, LIMIT: idle.limit}, after=idle.after))
    for count in [10] if env.quick else [100, 1000, 4000]:
        busy = Sleepers(env, count, True)
        found.append(Benchmark(f"sample-running-{count}", "us", f"the same of one that runs, of {count}",
                               {OURS: busy.ours, LIMIT: busy.limit}, after=busy.after))
    for count in [3] if env.quick else [10, 100, 1000]:
        runners = IdleRunners(env, count)
        found.append(Benchmark(f"runner-cpu-{count}", "us/s", f"CPU time of the runner of an idle task, of {count}",
                               {OURS: runners.cpu}, rounds=1))
        found.append(Benchmark(f"runner-wakes-{count}", "1/s", f"how often the runner of an idle task wakes up, of {count}",
                               {OURS: runners.wake_ups}, rounds=1))
    return found
