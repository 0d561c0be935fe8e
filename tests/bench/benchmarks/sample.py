"""Measuring attempts once a second: the CPU time of it, and what a runner costs that measures itself."""
import json
import pathlib
import resource
import shutil
import statistics
import subprocess
import time

import shield
from benchmarks.size import GROUP, IdleTasks, program_of
from harness import LIMIT, OURS, Benchmark

FILES_EACH = 20  # of an attempt that runs no more stay open, whoever samples it


class Sleepers:
    """Attempts that sleep, or run for a moment each second; made once for all rounds. Where one process may not have enough
    files open, several sample some of them each, one after the other: what counts is the CPU time of all, by attempt."""

    def __init__(self, env, count, running):
        self.env, self.count, self.running = env, count, running
        self.name = f"sample-{count}-{'running' if running else 'asleep'}"
        self.folder = env.scratch / self.name
        self.holder, self.files = None, {}
        self.at_most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // FILES_EACH

    def prepare(self):
        if self.holder:
            return
        self.folder.mkdir()
        self.holder = subprocess.Popen([self.env.bin / "drive_sample", "make", self.name, str(self.count),
                                        *(["all"] if self.running else [])],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for line in self.holder.stdout:
            if line == "ready\n":
                break
            self.files.setdefault(int(line.split()[0]), []).append(line)
        else:
            raise RuntimeError("the sleepers could not be made")

    def us(self, sample):
        """`sample` takes the first attempt of a share and the first beyond, and gives a command and its input."""
        group = [self.holder.pid] if self.running else []
        total = 0
        for first in range(0, self.count, self.at_most):
            end = min(first + self.at_most, self.count)
            argv, text = sample(first, end)
            ran = subprocess.run([str(a) for a in (*argv, *group)], input=text, capture_output=True, text=True, check=True)
            # A second of each ten reads more than the others: the mean is what it costs.
            total += statistics.mean(json.loads(ran.stdout)["us"]) * (end - first)
        return [total / self.count]

    def ours(self):
        self.prepare()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        return self.us(lambda first, end: (
            [self.env.bin / "drive_sample", "look", self.name, first, end, self.folder, 60], None))

    def limit(self):
        self.prepare()
        return self.us(lambda first, end: (
            [self.env.bin / "limit_sample", 60], "".join(line for i in range(first, end) for line in self.files[i])))

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
