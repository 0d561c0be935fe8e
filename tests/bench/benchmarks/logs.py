"""Moving a process's output into rotated files."""
import json
import os
import subprocess
import time

from harness import LIMIT, OURS, Benchmark

ROTATE, KEEP = 100 << 20, 3


def benchmarks(env):
    total = (64 if env.quick else 1024) << 20
    number = [0]

    def limit(line, per_write):
        folder = env.scratch / "pump"
        folder.mkdir(exist_ok=True)
        before = time.monotonic()
        reader, writer = os.pipe()
        pump = subprocess.Popen([env.bin / "limit_pump", folder / "out", str(ROTATE), str(KEEP)], stdin=reader,
                                stderr=subprocess.PIPE)
        os.close(reader)
        subprocess.run([env.bin / "bench_emit", str(total // line), str(line), str(per_write)], stdout=writer, check=True)
        os.close(writer)
        said = pump.communicate()[1]
        return total / (1 << 20) / (time.monotonic() - before), json.loads(said)["cpu_seconds"] * (1 << 30) / total

    def ours(line, per_write):
        number[0] += 1
        task = env.scratch / "emit.yaml"
        task.write_text(f"""name: emit
processes:
  - name: emit
    cmdline: /bench_emit {total // line} {line} {per_write}
    logger: {{mode: rotate, rotate: {{log_size: {ROTATE}, backups: {KEEP}}}}}
sandbox: {{binds: ["{env.bin / 'bench_emit'}:/bench_emit"]}}
""")
        done = subprocess.run([env.bin / "dewar", "run", "-o", "json", "--work-dir", env.scratch / "work", "--task-id",
                               f"emit{number[0]}", task], check=True, capture_output=True)
        run = json.loads(done.stdout)["processes"][0]["runs"][0]
        seconds = moment(run["stopped"]) - moment(run["started"])
        return [total / (1 << 20) / seconds]

    return [Benchmark(f"pump-{size}", "MB/s", f"output in writes of {size} bytes", {
        OURS: lambda line=line, per=per: ours(line, per), LIMIT: lambda line=line, per=per: [limit(line, per)[0]]},
        higher_is_better=True, rounds=3) for size, line, per in ((100, 100, 1), (4000, 100, 40))]


def moment(text):
    """Seconds of "2026-01-02T03:04:05.123456Z"."""
    whole, fraction = text.rstrip("Z").split(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + fraction)
