"""What an idle task of one process keeps in memory."""
import json
import os
import pathlib
import signal
import subprocess
import time

from harness import OURS, Benchmark

TASK = """name: idle
processes: [{name: idle, cmdline: "exec sleep 100000"}]
sandbox: {network: none}
"""
OUR_PROGRAMS = ("dewar-runner", "dewar-launch")


def pss_of(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def program_of(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


class IdleTasks:
    """Tasks whose `dewar run` has gone, so that nothing but what each of them needs is left."""

    def __init__(self, env, count):
        self.env, self.count = env, count

    def pss_per_task(self):
        file = self.env.scratch / "idle.yaml"
        file.write_text(TASK)
        work = self.env.scratch / f"idle-{self.count}"
        before = set(self.pids())
        try:
            for number in range(self.count):
                self.start(file, work, number)
            ours = [pid for pid in self.pids() if pid not in before]
            return [sum(pss_of(pid) for pid in ours) / self.count]
        finally:
            self.stop(before)

    def start(self, file, work, number):
        command = subprocess.Popen([self.env.bin / "dewar", "run", "-o", "jsonl", "--work-dir", work, "--task-id",
                                    f"idle{number}", file], stdout=subprocess.PIPE)
        for line in command.stdout:
            event = json.loads(line)
            if event.get("event") == "process" and event["state"] == "RUNNING":
                break
        command.kill()
        command.wait()

    def pids(self):
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and program_of(name) in OUR_PROGRAMS]

    def stop(self, before):
        for pid in self.pids():
            if pid not in before and program_of(pid) == "dewar-runner":
                os.kill(pid, signal.SIGUSR2)
        while set(self.pids()) - before:
            time.sleep(0.05)


def benchmarks(env):
    return [Benchmark(f"size-{count}", "KiB", f"PSS of runner, launcher and PID 1 of an idle task, of {count}",
                      {OURS: IdleTasks(env, count).pss_per_task}, rounds=1)
            for count in ([5] if env.quick else [10, 100, 1000])]
