"""Starting an attempt in a running task, and a whole task of one process."""
import ctypes
import errno
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import LIMIT, OURS, Benchmark

TASK = """name: bench
processes: [{name: "true", cmdline: "true", min_duration: 0}]
resources: {cpu: 0.5, ram: 256MB}
sandbox: {network: none, cpu_quota: 1, pids: 100}
"""

MOST_AT_ONCE = 32
TABLE = pathlib.Path(__file__).resolve().parents[3] / "isolation" / "seccomp" / "table.inc"


def output_of(*argv, **more):
    return json.loads(subprocess.run([str(a) for a in argv], check=True, capture_output=True, **more).stdout)


def on_tmpfs(env, folder):
    """A folder in memory until the end: how long a disk's file system takes to make thirty files depends on what was removed
    from it last. OCI runtimes keep their state in such a one, too."""
    if not folder.exists():
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "dewar-bench", folder], check=True)
        env.at_end.callback(subprocess.run, ["umount", folder], check=True)
    return folder


class Attempts:
    """In a running task, from the decision to the program's first instruction."""

    def __init__(self, env):
        self.env, self.number = env, 0
        self.filter = env.scratch / "filter"
        self.root = env.scratch / "first-root"

    def prepare(self):
        if not self.root.exists():
            (self.root / "proc").mkdir(parents=True)
            shutil.copy(self.env.bin / "bench_first", self.root / "first")
        if not self.filter.exists():
            self.ours(1)

    def ours(self, count, *options):
        self.number += 1
        return output_of(self.env.bin / "drive_attempts", "-n", count, "-f", self.filter, *options,
                         on_tmpfs(self.env, self.env.scratch / "attempts") / str(self.number), self.env.bin / "bench_first")

    def limit(self, count, *options):
        self.prepare()
        return output_of(self.env.bin / "limit_launch", "-n", count, "-f", self.filter, "-r", self.root, *options, "--",
                         "/first")


class Tasks:
    """A whole task: from the command to its end."""

    def __init__(self, env):
        self.env, self.number = env, 0
        self.file = env.scratch / "true.yaml"
        self.work = env.scratch / "work"
        self.bundles, self.lock = [], threading.Lock()

    def run_ours(self):
        with self.lock:
            self.number += 1
            name = f"t{self.number}"
        subprocess.run([self.env.bin / "dewar", "run", "-o", "json", "--work-dir", self.work, "--task-id",
                        name, self.file], check=True, capture_output=True)

    def run_peer(self, runtime):
        """An OCI runtime; each of those that run at once has a bundle, and so a cgroup, of its own."""
        with self.lock:
            self.number += 1
            name, bundle = f"dewar-bench-{self.number}", self.bundles.pop()
        try:
            subprocess.run([runtime, "run", "-b", bundle, name], check=True, capture_output=True)
        finally:
            self.bundles.append(bundle)

    def prepare(self):
        self.file.write_text(TASK)
        on_tmpfs(self.env, self.work)
        while len(self.bundles) < MOST_AT_ONCE:
            self.bundles.append(make_bundle(self.env.scratch / f"bundle-{len(self.bundles)}"))

    def without_cgroup2(self, contender):
        """The same, called in a thread that has mounts of its own, and so have all threads and programs that it starts."""
        def in_a_thread():
            self.prepare()
            with ThreadPoolExecutor(1, initializer=hide_cgroup2) as pool:
                return pool.submit(contender).result()
        return in_a_thread

    def timed(self, start, count, pause=0.0):
        def contender():
            self.prepare()
            times = []
            for _ in range(count):
                before = time.monotonic()
                start()
                times.append((time.monotonic() - before) * 1e3)
                time.sleep(pause)
            return times
        return contender

    def rate(self, start, count, at_once):
        def contender():
            self.prepare()
            before = time.monotonic()
            with ThreadPoolExecutor(at_once) as pool:
                for done in [pool.submit(start) for _ in range(count)]:
                    done.result()
            return [count / (time.monotonic() - before)]
        return contender

    def latencies(self, start, count, at_once):
        """Milliseconds of each, with others at the same time."""
        def timed_start(_):
            before = time.monotonic()
            start()
            return (time.monotonic() - before) * 1e3

        def contender():
            self.prepare()
            with ThreadPoolExecutor(at_once) as pool:
                return list(pool.map(timed_start, range(count)))
        return contender


def hide_cgroup2():
    """From this thread: crun refuses a hybrid host while cgroup2 holds a controller."""
    clone_newns = 0x20000
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newns) != 0:
        raise OSError(ctypes.get_errno(), "unshare mounts")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)


def seccomp():
    """Our default profile as OCI has it, but for the calls that this libseccomp does not know and would be warned of."""
    libseccomp = ctypes.CDLL("libseccomp.so.2")
    verdicts = {name: verdict for name, verdict in re.findall(r"^X\(\d+, (\w+), k(\w+),", TABLE.read_text(), re.MULTILINE)
                if libseccomp.seccomp_syscall_resolve_name(name.encode()) != -1}

    def rule(names, action, *args, **more):
        return {"names": list(names), "action": action, "args": [
            dict(zip(("index", "op", "value", "valueTwo"), arg)) for arg in args], **more}

    # A rule holds if all its tests hold, and libseccomp takes one of each argument: of the ioctls one is refused, not five.
    namespaces = 0x7e020000
    judged = [rule([call], "SCMP_ACT_ALLOW", (0, "SCMP_CMP_EQ", family)) for call in ("socket", "socketpair")
              for family in (1, 2, 10, 16, 17)]
    judged += [rule(["personality"], "SCMP_ACT_ALLOW", (0, "SCMP_CMP_EQ", kind))
               for kind in (0, 0x8, 0x20000, 0x20008, 0xffffffff)]
    judged += [rule(["clone"], "SCMP_ACT_ALLOW", (0, "SCMP_CMP_MASKED_EQ", namespaces, 0)),
               rule(["unshare"], "SCMP_ACT_ALLOW", (0, "SCMP_CMP_MASKED_EQ", namespaces | 0x80, 0)),
               rule(["ioctl"], "SCMP_ACT_ALLOW", (1, "SCMP_CMP_NE", 0x5412))]
    simple = {name: verdict for name, verdict in verdicts.items() if not any(name in r["names"] for r in judged)}
    return {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.ENOSYS, "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [rule([n for n, v in simple.items() if v == "Allowed"], "SCMP_ACT_ALLOW"),
                         rule([n for n, v in simple.items() if v == "Forbidden"], "SCMP_ACT_ERRNO", errnoRet=errno.EPERM),
                         *judged]}


def make_bundle(folder):
    """The same sandbox for OCI runtimes: the host's programs read-only, the same limits, namespaces and filter."""
    rootfs = folder / "rootfs"
    for name in ["usr", "etc", "proc", "sys", "dev", "tmp", "sandbox"]:
        (rootfs / name).mkdir(parents=True)
    for name in ["bin", "sbin", "lib", "lib64"]:
        os.symlink(f"usr/{name}", rootfs / name)
    bind = [{"destination": f"/{name}", "type": "bind", "source": f"/{name}",
             "options": ["rbind", "ro", "nosuid", "nodev"]} for name in ["usr", "etc"]]
    system = [{"destination": "/proc", "type": "proc", "source": "proc"},
              {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
              {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
              {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}]
    config = {"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": True}, "hostname": "bench",
              "process": {"terminal": False, "user": {"uid": 65534, "gid": 65534}, "args": ["/bin/bash", "-c", "true"],
                          "env": ["PATH=/usr/bin:/bin"], "cwd": "/", "noNewPrivileges": True},
              "mounts": bind + system,
              "linux": {"cgroupsPath": f"/dewar-bench-peer/{folder.name}",
                        "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
                        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
                        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
                        "seccomp": seccomp(),
                        "resources": {"cpu": {"shares": 512, "quota": 100000, "period": 100000},
                                      "memory": {"limit": 268435456}, "pids": {"limit": 100}}}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def benchmarks(env):
    attempts, tasks = Attempts(env), Tasks(env)
    n = env.few(200)

    def pick(of, key):
        return lambda: of()[key]

    def single(of):
        return lambda: [of()["rate"]]

    def ours(*options, count=n):
        return lambda: attempts.ours(count, *options)

    def limit(*options, count=n):
        return lambda: attempts.limit(count, *options)

    peers = {name: functools.partial(tasks.run_peer, name) for name in ("crun", "runc") if shutil.which(name)}
    few = env.few(60)

    def whole(name, title, count, pause):
        contenders = {OURS: tasks.timed(tasks.run_ours, count, pause)}
        contenders |= {peer: tasks.without_cgroup2(tasks.timed(start, count, pause)) for peer, start in peers.items()}
        return Benchmark(name, "ms", title, contenders)

    def rate(at_once):
        contenders = {OURS: tasks.rate(tasks.run_ours, n, at_once), LIMIT: single(limit("-N", "-c", at_once))}
        contenders |= {peer: tasks.without_cgroup2(tasks.rate(start, n, at_once)) for peer, start in peers.items()}
        return Benchmark(f"task-rate-{at_once}", "tasks/s", f"whole tasks, {at_once} at once", contenders,
                         higher_is_better=True)

    def latency(at_once):
        contenders = {OURS: tasks.latencies(tasks.run_ours, n, at_once)}
        contenders |= {peer: tasks.without_cgroup2(tasks.latencies(start, n, at_once)) for peer, start in peers.items()}
        return Benchmark(f"task-latency-{at_once}", "ms", f"a whole task, {at_once} at once", contenders)

    return [
        Benchmark("attempt", "us", "from the decision to an attempt's first instruction, one after the other",
                  {OURS: pick(ours(), "first_us"), LIMIT: pick(limit(), "first_us")}),
        Benchmark("attempt-paused", "us", "the same, 100 ms apart",
                  {OURS: pick(ours("-z", 100, count=env.few(40)), "first_us"),
                   LIMIT: pick(limit("-z", 100, count=env.few(40)), "first_us")}),
        whole("task", "a whole task of `true`, one after the other", few, 0),
        whole("task-paused", "the same, 100 ms apart", env.few(40), 0.1),
        rate(8),
        rate(32),
        latency(8),
        latency(32),
    ]
