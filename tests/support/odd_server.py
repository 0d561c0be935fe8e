#!/usr/bin/env python3
"""A web server that misbehaves on demand: odd_server.py [CERTIFICATE KEY]. Prints its port, then serves until its standard
input ends. The path says how:

  /ok/NAME          well: ETag, Range, If-Range, 304; ?cc=TEXT becomes Cache-Control
  /404/NAME         404, with "no such key" and the Authorization it got in the body
  /flaky/N/NAME     500 N times, then well
  /busy/N/NAME      503 with Retry-After: 0 N times, then well
  /cut/N/NAME       N times closes in the middle, and keeps to Range
  /no-range/N/NAME  N times closes in the middle, and ignores Range
  /changed/NAME     closes in the middle; from then on the content and the ETag are others
  /liar/NAME        the same, but answers a Range with 206 out of the other content, whatever If-Range says
  /stall/N/NAME     N times stops in the middle and keeps silent
  /silent/NAME      says nothing at all
  /drip/NAME        a byte a second
  /begun/NAME       the first half of a tar of 32 files, each the content, the first one "first"
  /endless/NAME     never ends, says no length
  /wrong/NAME       200, and other bytes of the same length
  /loop/NAME        redirects to itself
  /to?URL           redirects to URL
  /headers/NAME     the headers it got, as the body
  /asked/N?PATH     nothing, once PATH has been asked for N times
  /log              what was asked so far: a line per request, METHOD PATH RANGE AUTHORIZATION

Every NAME has 300,000 bytes of its own, the digest of which a test computes with content()."""
import hashlib
import http.server
import ssl
import sys
import tarfile
import threading
import time
import urllib.parse

SIZE = 300_000


def content(name, version=1):
    block = hashlib.sha256(f"{name} {version}".encode()).digest()
    return (block * (SIZE // len(block) + 1))[:SIZE]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock, self.counts, self.log = threading.Lock(), {}, []
        self.logged = threading.Condition(self.lock)

    def handle_error(self, request, client_address):
        pass  # whoever asked has gone


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def count(self):
        """How often this path was asked for before."""
        with self.server.lock:
            before = self.server.counts.get(self.path, 0)
            self.server.counts[self.path] = before + 1
            return before

    def do_GET(self):
        with self.server.lock:
            self.server.log.append(f"{self.command} {self.path} {self.headers.get('Range', '-')} "
                                   f"{self.headers.get('Authorization', '-')}")
            self.server.logged.notify_all()
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.split("/")[1:]
        behave = getattr(self, "do_" + parts[0].replace("-", "_"), None)
        if behave is None:
            return self.answer(404, b"what?\n")
        return behave(parts[-1], int(parts[1]) if len(parts) > 2 else 0, url.query)

    do_HEAD = do_GET

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self, body, etag, cut=None, ranges=True, believes=False, **headers):
        """`cut`: closes after so many bytes. `believes`: never looks at If-Range."""
        asked = self.headers.get("Range", "") if ranges else ""
        if self.headers.get("If-None-Match") == etag:
            return self.answer(304, ETag=etag)
        first, status = 0, 200
        if asked.startswith("bytes=") and (believes or self.headers.get("If-Range", etag) == etag):
            first, status = int(asked[6:].split("-")[0]), 206
            headers["Content_Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
        if ranges:
            headers["Accept_Ranges"] = "bytes"
        rest = body[first:]
        self.answer(status, rest if cut is None else rest[:cut], len(rest), ETag=etag, **headers)
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def do_ok(self, name, _, query):
        control = urllib.parse.parse_qs(query).get("cc")
        self.serve(content(name), '"1"', **({"Cache_Control": control[0]} if control else {}))

    def do_404(self, *_):
        self.answer(404, f"no such key {self.headers.get('Authorization', '')}\n".encode())

    def do_flaky(self, name, times, _):
        self.answer(500, b"not now\n") if self.count() < times else self.serve(content(name), '"1"')

    def do_busy(self, name, times, _):
        self.answer(503, b"later\n", Retry_After="0") if self.count() < times else self.serve(content(name), '"1"')

    def do_cut(self, name, times, _):
        self.serve(content(name), '"1"', cut=SIZE // 3 if self.count() < times else None)

    def do_no_range(self, name, times, _):
        self.serve(content(name), '"1"', cut=SIZE // 2 if self.count() < times else None, ranges=False)

    def do_changed(self, name, *_):
        first = self.count() == 0
        self.serve(content(name, 1 if first else 2), '"1"' if first else '"2"', cut=SIZE // 2 if first else None)

    def do_liar(self, name, *_):
        first = self.count() == 0
        self.serve(content(name, 1 if first else 2), '"1"' if first else '"2"', cut=SIZE // 2 if first else None,
                   believes=True)

    def do_stall(self, name, times, _):
        stalls = self.count() < times
        self.serve(content(name), '"1"', cut=SIZE * 99 // 100 if stalls else None)
        if stalls:
            self.sleep()

    def do_silent(self, *_):
        self.sleep()

    def sleep(self):
        """Until the client has gone."""
        self.connection.settimeout(60)
        try:
            while self.connection.recv(1):
                pass
        except OSError:
            pass
        self.close_connection = True

    def do_drip(self, name, *_):
        self.answer(200, content(name)[:1], SIZE, ETag='"1"')
        for byte in content(name)[1:]:
            time.sleep(1)
            self.wfile.write(bytes([byte]))

    def do_begun(self, name, *_):
        files = b""
        for file in ("first", *"abcdefghijklmno"):
            entry = tarfile.TarInfo(file)
            entry.size = SIZE
            files += entry.tobuf() + content(name) + bytes(-SIZE % 512)
        self.answer(200, files, 2 * len(files))
        self.sleep()

    def do_endless(self, *_):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(bytes(65536))

    def do_wrong(self, name, *_):
        self.answer(200, content(name, 2))

    def do_loop(self, *_):
        self.answer(302, Location=self.path)

    def do_to(self, _, __, query):
        self.answer(302, Location=urllib.parse.unquote(query))

    def do_headers(self, *_):
        self.answer(200, str(self.headers).encode())

    def do_asked(self, times, _, path):
        with self.server.logged:
            enough = self.server.logged.wait_for(
                lambda: sum(line.split()[1] == path for line in self.server.log) >= int(times), 60)
        self.answer(200 if enough else 408)

    def do_log(self, *_):
        with self.server.lock:
            body = "".join(line + "\n" for line in self.server.log[:-1])
        self.answer(200, body.encode())


def main():
    server = Server()
    if len(sys.argv) == 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
