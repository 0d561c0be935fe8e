"""Reading what a process has written."""
import subprocess
import time

from harness import LIMIT, OURS, Benchmark


def benchmarks(env):
    """A log without an index, as `dewar logs` and as the tools that know no more than lines read it."""
    total = (64 if env.quick else 1024) << 20
    runs = env.scratch / "read" / "slaves/local/frameworks/local/executors/big/runs"
    file = runs / "c1/.logs/p/0/stdout"

    def prepared():
        if file.exists():
            return
        file.parent.mkdir(parents=True)
        (runs / "c1/checkpoints/tasks/active").mkdir(parents=True)
        (runs / "c1/checkpoints/tasks/active/big").touch()
        (runs / "latest").symlink_to("c1")
        block = b"".join(b"2026-01-02T03:04:05.%06d INFO worker %02d handled a request in %d ms\n" % (i, i % 16, i % 100)
                         for i in range(16000))
        with open(file, "wb") as out:
            for _ in range(total // len(block)):
                out.write(block)
            out.write(b"the needle\n")

    def speed(*command):
        prepared()
        before = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.PIPE if "needle" in command else subprocess.DEVNULL)
        return [file.stat().st_size / (1 << 20) / (time.monotonic() - before)]

    logs = [env.bin / "dewar", "logs", "big/p", "--work-dir", env.scratch / "read"]
    return [
        Benchmark("logs-read", "MB/s", "all lines of a log", {
            OURS: lambda: speed(*logs, "--raw"), LIMIT: lambda: speed("cat", file)}, higher_is_better=True, rounds=3),
        Benchmark("logs-grep", "MB/s", "the one line that has a word", {
            OURS: lambda: speed(*logs, "--grep", "needle"), "grep": lambda: speed("grep", "needle", file)},
            higher_is_better=True, rounds=3)]
