"""Moving a process's output into rotated files, with our index of times on. The limit knows the best pause for each kind
of writer; ours finds it."""
import json
import os
import shutil
import subprocess
import time

from harness import LIMIT, OURS, Benchmark

ROTATE, KEEP = 100 << 20, 3
GB = 1 << 30
# Writes of one line, and of 40 lines, as stdio's buffer makes them; the best pause of the limit's, in us.
KINDS = {"100": (100, 1, 1000), "4000": (100, 40, 0)}


def own_cpu(process):
    """Waits for a child's end; its own CPU seconds, without those of its children."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    process.wait()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def benchmarks(env):
    total = (64 if env.quick else 1024) << 20
    folder = env.scratch / "pump"

    def emit(kind):
        line, per, _ = KINDS[kind]
        return [str(env.bin / "bench_emit"), str(total // line), str(line), str(per)]

    def fresh():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    def ours(kind):
        fresh()
        done = subprocess.run([env.bin / "drive_pump", folder / "log", str(ROTATE), str(KEEP), *emit(kind)], check=True,
                              capture_output=True)
        said = json.loads(done.stdout)
        return said["seconds"], said["cpu_seconds"]

    def piped(kind, command):
        """A program that reads its stdin to the end."""
        reader, writer = os.pipe()
        begin = time.monotonic()
        pump = subprocess.Popen(command, stdin=reader, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        os.close(reader)
        subprocess.run(emit(kind), stdout=writer, check=True)
        os.close(writer)
        said = pump.stderr.read()
        seconds, cpu = time.monotonic() - begin, own_cpu(pump)
        if pump.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {said.decode(errors='replace')}")
        return seconds, cpu

    def limit(kind):
        fresh()
        return piped(kind, [env.bin / "limit_pump", folder / "out", str(ROTATE), str(KEEP), str(KINDS[kind][2])])

    def s6_log(kind):
        fresh()
        return piped(kind, ["s6-log", f"n{KEEP}", f"s{ROTATE}", folder / "log"])

    def svlogd(kind):
        fresh()
        (folder / "log").mkdir()
        (folder / "log" / "config").write_text(f"s{ROTATE}\nn{KEEP}\n")
        return piped(kind, ["svlogd", "-b", "65536", folder / "log"])

    def conmon(kind):
        """conmon itself, with a runtime that starts the writer on the pipes that it is given."""
        fresh()
        runtime = folder / "runtime"
        runtime.write_text('#!/bin/bash\nwhile [ $# -gt 0 ]; do [ "$1" = --pid-file ] && file=$2; shift; done\n'
                           f'[ -n "$file" ] || exit 0\n{" ".join(emit(kind))} &\necho -n $! > "$file"\n')
        runtime.chmod(0o755)
        begin = time.monotonic()
        capture = subprocess.Popen(  # --sync: it does not fork
            ["conmon", "--sync", "--api-version", "1", "-c", "bench", "-u", "bench", "-n", "bench", "-r", runtime, "-b", folder,
             "-p", folder / "pid", "--exit-dir", folder, "--socket-dir-path", folder, "--log-size-max", str(ROTATE),
             "-l", f"k8s-file:{folder / 'log'}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cpu = own_cpu(capture)
        return time.monotonic() - begin, cpu

    contenders = {OURS: ours, LIMIT: limit, "s6-log": s6_log, "svlogd": svlogd, "conmon": conmon}

    def sampled(who, kind, what):
        def run():
            seconds, cpu = contenders[who](kind)
            return [total / (1 << 20) / seconds if what == "MB/s" else cpu * GB / total]
        return run

    found = []
    for kind in KINDS:
        for what, name in (("MB/s", f"pump-{kind}"), ("s/GB", f"pump-cpu-{kind}")):
            whom = [who for who in contenders if who in (OURS, LIMIT) or (what == "s/GB" and shutil.which(who))]
            found.append(Benchmark(name, what, f"output in writes of {kind} bytes", {who: sampled(who, kind, what) for who in whom},
                                   higher_is_better=what == "MB/s", rounds=3))
    return found
