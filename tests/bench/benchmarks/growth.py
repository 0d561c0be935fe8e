"""What a task costs among 10, 100, 1000 and 2000 idle ones; the slopes are printed below the table."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

import shield
from benchmarks.hop import Chain, hops
from benchmarks.launch import Attempts, Tasks
from benchmarks.size import OUR_PROGRAMS, program_of, pss_of
from harness import LIMIT, OURS, Benchmark

SIZES = (10, 100, 1000, 2000)
AT_ONCE = 8
GROUP = "dewar-bench-crowd"
IDLE = """name: idle
processes: [{name: idle, cmdline: "exec sleep 100000"}]
sandbox: {network: none}
"""


class Crowd:
    """Idle tasks whose `dewar run` has gone, in a group of their own: nobody else's processes are counted or ended."""

    def __init__(self, env):
        self.env, self.count, self.start_ms = env, 0, []

    def grow_to(self, count):
        if self.count == 0:
            shield.make_everywhere(GROUP)
            (self.env.scratch / "idle.yaml").write_text(IDLE)
            self.env.at_end.callback(self.end)
        self.start_ms = self.start_ms if self.count == count else []
        while self.count < count:
            before = time.monotonic()
            self.start(self.count)
            self.start_ms.append((time.monotonic() - before) * 1e3)
            self.count += 1

    def start(self, number):
        command = subprocess.Popen([self.env.bin / "dewar", "run", "-o", "jsonl", "--cgroup", f"/{GROUP}", "--work-dir",
                                    self.env.scratch / "crowd", "--task-id", f"idle{number}", self.env.scratch / "idle.yaml"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for line in command.stdout:
            event = json.loads(line)
            if event.get("event") == "process" and event["state"] == "RUNNING":
                break
        command.kill()
        command.communicate()

    def ours(self):
        return [pid for pid in shield.members(GROUP) if program_of(pid) in OUR_PROGRAMS]

    def pss(self):
        return [sum(pss_of(pid) for pid in self.ours()) / self.count]

    def cpu_ms(self):
        """Milliseconds of CPU in a second of one idle task, helpers included."""
        before, pause = ticks(self.ours()), 5
        time.sleep(pause)  # what is measured is what happens meanwhile
        return [(ticks(self.ours()) - before) * 1e3 / os.sysconf("SC_CLK_TCK") / pause / self.count]

    def end(self):
        """A few at a time: thousands of tasks that end together keep a small host busy for a minute."""
        while runners := [pid for pid in self.ours() if program_of(pid) == "dewar-runner"]:
            for pid in runners[:AT_ONCE]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR2)
            while set(runners[:AT_ONCE]) & set(shield.members(GROUP)):
                time.sleep(0.05)


def ticks(pids):
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total


def benchmarks(env):
    env = env.inside("growth")
    crowd, attempts, tasks, chain = Crowd(env), Attempts(env), Tasks(env), Chain(env, 20)
    few = env.few(100, 10)

    def among(count, family, unit, title, ours, limit=None):
        def in_crowd(contender):
            def contend():
                crowd.grow_to(count)
                return contender()
            return contend
        contenders = {OURS: in_crowd(ours)} | ({LIMIT: in_crowd(limit)} if limit else {})
        return Benchmark(f"growth-{family}-{count}", unit, f"{title}, among {count} idle tasks", contenders, rounds=1,
                         crowd=count)

    def figures(count):
        return [
            among(count, "start", "ms", "dewar run until RUNNING", lambda: list(crowd.start_ms)),
            among(count, "task", "ms", "a whole task of `true`", tasks.timed(tasks.run_ours, few)),
            among(count, "attempt", "us", "from the decision to an attempt's first instruction",
                  lambda: attempts.ours(few)["first_us"], lambda: attempts.limit(few)["first_us"]),
            among(count, "hop", "us", "from the end of a process to the next one's first instruction", lambda: hops(chain.run())),
            among(count, "pss", "KiB", "memory of an idle task's helpers", crowd.pss),
            among(count, "cpu", "ms/s", "CPU of an idle task's helpers", crowd.cpu_ms),
        ]
    return [figure for count in ((5, 10) if env.quick else SIZES) for figure in figures(count)]
