"""Fetching an archive from nginx on this host, checking its SHA-256, and unpacking it. Files are made in a tmpfs, so that
no disk is measured; what one contender leaves is removed before the next begins."""
import functools
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from harness import LIMIT, OURS, Benchmark

NAME = "artifact.tar.gz"
NOBODY = 65534
NGINX = """daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{ access_log off; sendfile on; tcp_nopush on; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }} }}
"""


class Server:
    """nginx with the artifact: programs, headers, scripts and documents of this host, some 250 to 300 MB packed. Links that
    lead out of the tree are left out."""

    def __init__(self, env):
        self.env = env
        self.folder = env.scratch / "fetch"

    @functools.cached_property
    def artifact(self):
        www = self.folder / "www"
        www.mkdir(parents=True)
        path = www / NAME
        parts = "include" if self.env.quick else "bin include lib/python3 share/doc"
        packer = "pigz" if shutil.which("pigz") else "gzip"
        subprocess.run(["bash", "-c", rf"set -o pipefail; cd /usr; find {parts} \( -type l -lname '/*' -o -name '*.pyc' \) -o"
                        rf" -print0 | tar -c --no-recursion --null -T - | {packer} -6 >{path}"], check=True)
        return path

    @functools.cached_property
    def sha256(self):
        return hashlib.sha256(self.artifact.read_bytes()).hexdigest()

    @functools.cached_property
    def port(self):
        self.artifact
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=self.folder, port=port))
        self.nginx = subprocess.Popen(["nginx", "-c", config, "-p", self.folder], stderr=subprocess.DEVNULL)
        self.env.at_end.callback(self.stop)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return port
            except ConnectionRefusedError:
                if self.nginx.poll() is not None:
                    raise RuntimeError("nginx has ended: " + (self.folder / "error.log").read_text())
                time.sleep(0.01)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/{NAME}"

    def stop(self):
        self.nginx.terminate()
        self.nginx.wait()


def timed(prepare, command):
    """A contender: seconds of `command(folder)` in a new folder."""
    def contender():
        prepare()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="dewar-bench-", dir="/dev/shm"))
        try:
            argv = command(folder)
            before = time.monotonic()
            subprocess.run([str(a) for a in argv], cwd=folder, check=True, capture_output=True)
            return [time.monotonic() - before]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return contender


def shell(text):
    return ["bash", "-c", "set -eo pipefail; " + text]


def benchmarks(env):
    server = Server(env)

    def path():
        return server.artifact

    def local(command):
        return timed(path, command)

    def get(command):
        return timed(lambda: (server.port, server.sha256), command)

    unpack = {
        OURS: local(lambda folder: shell(f"{env.bin}/drive_unpack . {NAME} confined <{path()}")),
        "tar xzf": local(lambda folder: ["tar", "-xzf", path()]),
        "tar -I igzip": local(lambda folder: ["tar", "-I", "igzip", "-xf", path()]),
    }
    download = {
        OURS: get(lambda folder: [env.bin / "drive_fetch", folder, server.url, "", "keep"]),
        LIMIT: get(lambda folder: [env.bin / "limit_receive", server.port, f"/{NAME}", "x"]),
        "curl": get(lambda folder: ["curl", "-sfo", "x", server.url]),
    }
    whole = {
        OURS: get(lambda folder: [env.bin / "drive_fetch", folder, server.url, server.sha256, "unpack"]),
        "curl; sha256sum; tar xzf": get(lambda folder: shell(
            f"curl -sfo x {server.url}; echo '{server.sha256}  x' | sha256sum -c; tar -xzf x")),
        "curl; openssl; tar -I igzip": get(lambda folder: shell(
            f"curl -sfo x {server.url}; openssl dgst -sha256 x | grep -q {server.sha256}; tar -I igzip -xf x")),
        "curl | tar xz, no digest": get(lambda folder: shell(f"curl -sf {server.url} | tar -xz")),
    }
    if shutil.which("wget"):
        download["wget"] = get(lambda folder: ["wget", "-qO", "x", server.url])
    if shutil.which("aria2c"):
        # aria2 checks the digest in a second pass of its own.
        aria2 = ["aria2c", "-q", "-x4", "-s4", "--file-allocation=none", "-o", "x"]
        download["aria2c -x4"] = get(lambda folder: [*aria2, server.url])
        whole["aria2c -x4; tar -I igzip"] = get(lambda folder: shell(
            " ".join([*aria2, f"--checksum=sha-256={server.sha256}", server.url]) + "; tar -I igzip -xf x"))
    if shutil.which("bsdtar"):
        unpack["bsdtar"] = local(lambda folder: ["bsdtar", "-xf", path()])
    return [Benchmark("unpack", "s", "a tar.gz that lies here", unpack, rounds=3),
            Benchmark("download", "s", "over HTTP, without digest and unpacking", download),
            Benchmark("fetch", "s", "over HTTP, SHA-256 checked, unpacked", whole),
            warm(env, server, "fetch-warm", "the whole archive out of the cache, for a task of nobody", env.scratch, NOBODY),
            warm(env, server, "fetch-warm-root", "the same for a task of root", env.scratch, 0),
            *on_xfs(env, server)]


def on_xfs(env, server):
    """A file system that shares blocks, if this host makes one."""
    make = shutil.which("mkfs.xfs", path="/usr/sbin:/sbin")
    if not make:
        return []
    root = env.scratch / "xfs"

    def mount():
        if root.exists():
            return
        root.mkdir()
        subprocess.run(["bash", "-c", f"truncate -s 2G {root}.image && {make} -q {root}.image && mount -o loop {root}.image"
                        f" {root}"], check=True, capture_output=True)
        env.at_end.callback(subprocess.run, ["umount", root])

    return [warm(env, server, "fetch-warm-xfs", "the same for a task of root, on XFS", root, 0, mount)]


def warm(env, server, name, title, root, uid, prepare=lambda: None):
    """Milliseconds until an artifact that the cache has lies in a sandbox: dewar-fetch from start to end, beside cp."""
    def ours():
        prepare()
        server.port
        config, times = root / "fetch.conf", []
        config.write_text(f"cache_folder {root}/cache-{name}\n")
        for number in range(env.few(20) + 1):
            folder = pathlib.Path(tempfile.mkdtemp(dir=root))
            os.chown(folder, uid, uid)
            argv = [env.bin / "drive_fetch", folder, server.url, server.sha256, "keep", config, uid]
            before = time.monotonic()
            subprocess.run([str(a) for a in argv], check=True, capture_output=True)
            times.append((time.monotonic() - before) * 1e3)
            shutil.rmtree(folder)
        return times[1:]  # the first came over the network

    def copy():
        prepare()
        target, times = root / "copy", []
        for _ in range(env.few(20)):
            before = time.monotonic()
            subprocess.run(["cp", "--reflink=never", server.artifact, target], check=True)
            times.append((time.monotonic() - before) * 1e3)
            target.unlink()
        return times

    return Benchmark(name, "ms", title, {OURS: ours, "cp": copy}, rounds=3)
