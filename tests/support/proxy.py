#!/usr/bin/env python3
"""An HTTP proxy: proxy.py LOG [--refuse STATUS] [--login USER:PASSWORD]. Prints its port, then serves until its standard
input ends. It passes on what GET asks of http://HOST:PORT and joins what CONNECT names. It may answer everything with
STATUS and a page, and whoever has not this login with 407. LOG gets a line per request: METHOD TARGET, " leaks" behind it if
a CONNECT brings a header that is for the server, and " as USER:PASSWORD" if it brings a login."""
import argparse
import base64
import http.client
import http.server
import socket
import sys
import threading
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def begin(self):
        """False: it has been refused."""
        leaks = self.command == "CONNECT" and "X-Own" in self.headers
        login = base64.b64decode(self.headers.get("Proxy-Authorization", "").removeprefix("Basic ")).decode()
        with open(options.log, "a", encoding="ascii") as log:
            log.write(f"{self.command} {self.path}{' leaks' if leaks else ''}{' as ' + login if login else ''}\n")
        status = options.refuse if login == options.login else 407
        if not status:
            return True
        body = b"the proxy's own page\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(body)
        return False

    def do_GET(self):
        if not self.begin():
            return
        url = urllib.parse.urlsplit(self.path)
        server = http.client.HTTPConnection(url.netloc)
        headers = {name: value for name, value in self.headers.items() if not name.startswith("Proxy-")}
        server.request("GET", url.path + ("?" + url.query if url.query else ""), headers=headers)
        answer = server.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in ("Server", "Date"):
                self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(answer.read())
        except http.client.IncompleteRead as part:
            self.wfile.write(part.partial)
            self.close_connection = True

    def do_CONNECT(self):
        if not self.begin():
            return
        host, port = self.path.rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        self.send_response(200)
        self.send_header("ETag", '"of the proxy"')
        self.end_headers()
        self.close_connection = True

        def pump(source, target):
            try:
                while block := source.recv(65536):
                    target.sendall(block)
            except OSError:
                pass
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

        back = threading.Thread(target=pump, args=(server, self.connection))
        back.start()
        pump(self.connection, server)
        back.join()


class Proxy(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # whoever asked has gone


parser = argparse.ArgumentParser()
parser.add_argument("log")
parser.add_argument("--refuse", type=int)
parser.add_argument("--login", default="")
options = parser.parse_args()
server = Proxy(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
