#!/usr/bin/env python3
"""An FTP server (pyftpdlib): ftp_server.py FOLDER LOG [--tls PEM] [--no-rest] [--no-prot]. Prints its port, then serves
FOLDER until its standard input ends. LOG gets a line per order of a client.

anonymous sees everything but `private`, which the user tom (password: secret) sees alone. A file whose name begins with
"cut" is broken off in the middle when it is sent for the first time. --tls: from the first byte on (ftps). --no-rest: knows
no REST. --no-prot: sends the data in clear."""
import argparse
import logging
import os
import sys
import threading

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.servers import FTPServer

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("log")
parser.add_argument("--tls")
parser.add_argument("--no-rest", action="store_true")
parser.add_argument("--no-prot", action="store_true")
options = parser.parse_args()
logging.disable(logging.CRITICAL)
cut_before = set()


def breaking(base):
    class Breaking(base):
        sent = 0

        def send(self, data):
            count = super().send(data)
            self.sent += count
            name, limit = self.cmd_channel.cutting
            if limit is not None and self.sent >= limit:
                cut_before.add(name)
                self.handle_close()
            return count

    return Breaking


def noting(base):
    class Noting(base):
        use_sendfile = False
        auth_failed_timeout = 0
        cutting = ("", None)

        def pre_process_command(self, line, cmd, arg):
            with open(options.log, "a", encoding="ascii", errors="replace") as log:
                log.write(line + "\n")
            if cmd == "REST" and options.no_rest or cmd == "PROT" and options.no_prot:
                self.respond("502 Not here.")
                return
            super().pre_process_command(line, cmd, arg)

        def ftp_RETR(self, file):
            name = os.path.basename(file)
            cuts = name.startswith("cut") and name not in cut_before
            self.cutting = (name, os.path.getsize(file) // 2 if cuts else None)
            return super().ftp_RETR(file)

    return Noting


def handler():
    if not options.tls:
        plain = noting(FTPHandler)
        plain.dtp_handler = breaking(DTPHandler)
        return plain
    from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler

    class TlsData(breaking(TLS_DTPHandler)):
        def readable(self):
            # pyftpdlib 1.5.7 takes a handshake that begins before RETR, as libcurl's does, for a broken connection.
            return self._ssl_accepting or super().readable()

    class Implicit(noting(TLS_FTPHandler)):
        certfile = options.tls
        dtp_handler = TlsData

        def handle(self):
            self.secure_connection(self.ssl_context)

        def handle_ssl_established(self):
            super().handle()

    # libcurl goes on with the orders' session for the data, which OpenSSL refuses to a context without a name.
    Implicit.get_ssl_context().set_session_id(b"ftp_server")
    return Implicit


class Authorizer(DummyAuthorizer):
    def has_perm(self, username, perm, path=None):
        hidden = path is not None and os.path.basename(path) == "private" and username == "anonymous"
        return not hidden and super().has_perm(username, perm, path)


authorizer = Authorizer()
authorizer.add_anonymous(options.folder)
authorizer.add_user("tom", "secret", options.folder, perm="elr")
chosen = handler()
chosen.authorizer = authorizer
server = FTPServer(("127.0.0.1", 0), chosen)
print(server.socket.getsockname()[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
