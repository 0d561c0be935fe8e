"""What an idle task of one process keeps in memory."""
import functools
import json
import os
import pathlib
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import shield
from harness import OURS, Benchmark

TASK = """name: idle
processes: [{name: idle, cmdline: "exec sleep 100000"}]
sandbox: {network: none}
"""
OUR_PROGRAMS = ("dewar-runner", "dewar-launch", "dewar-init")
GROUP = "dewar-bench-idle"


def pss_of(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def program_of(pid):
    """By the name that it gives itself: launchers are executed through a mount that has no path."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def kernel_memory():
    """KiB of kernel objects, page tables and stacks on the whole host."""
    fields = ("SUnreclaim", "PageTables", "KernelStack", "Percpu")
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.split(":")[0] in fields)


class IdleTasks:
    """Tasks whose `dewar run` has gone, so that nothing but what each of them needs is left; in a group of their own."""

    def __init__(self, env, count):
        self.env, self.count = env, count

    @functools.cached_property
    def measured(self):
        """Of a task: KiB in user space, and in the kernel (where others' work shows too), and threads."""
        shield.make_everywhere(GROUP)
        file = self.env.scratch / "idle.yaml"
        file.write_text(TASK)
        work = self.env.scratch / f"idle-{self.count}"
        kernel = kernel_memory()
        try:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda number: self.start(file, work, number), range(self.count)))
            threads = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.pids())
            return {"pss": sum(pss_of(pid) for pid in self.pids()) / self.count,
                    "kernel": (kernel_memory() - kernel) / self.count, "threads": threads / self.count}
        finally:
            self.stop()

    def figure(self, key):
        return lambda: [self.measured[key]]

    def start(self, file, work, number):
        command = subprocess.Popen([self.env.bin / "dewar", "run", "-o", "jsonl", "--cgroup", f"/{GROUP}", "--work-dir", work,
                                    "--task-id", f"idle{number}", file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for line in command.stdout:
            event = json.loads(line)
            if event.get("event") == "process" and event["state"] == "RUNNING":
                break
        command.kill()
        command.wait()

    def pids(self):
        return [pid for pid in shield.members(GROUP) if program_of(pid) in OUR_PROGRAMS]

    def stop(self):
        """A few at a time: all at once would keep a small host busy for a minute."""
        while runners := [pid for pid in self.pids() if program_of(pid) == "dewar-runner"]:
            for pid in runners[:8]:
                os.kill(pid, signal.SIGUSR2)
            while set(runners[:8]) & set(self.pids()):
                time.sleep(0.02)


def benchmarks(env):
    env, rows = env.inside("size"), []
    for count in [5] if env.quick else [10, 100, 1000]:
        tasks = IdleTasks(env, count)
        whose = f"of runner, launcher and PID 1 of an idle task, of {count}"
        rows += [Benchmark(f"size-{count}", "KiB", f"PSS {whose}", {OURS: tasks.figure("pss")}, rounds=1),
                 Benchmark(f"size-kernel-{count}", "KiB", f"kernel memory {whose}, with its cgroups, namespaces and `sleep`",
                           {OURS: tasks.figure("kernel")}, rounds=1),
                 Benchmark(f"size-threads-{count}", "", f"threads {whose}", {OURS: tasks.figure("threads")}, rounds=1)]
    return rows
