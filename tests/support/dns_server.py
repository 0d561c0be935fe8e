#!/usr/bin/env python3
"""A name server: dns_server.py ADDRESS ANSWER... on port 53 of ADDRESS, over UDP. Says "ready", then serves until its
standard input ends. Every name has one IPv4 address: the first ANSWER when it is asked for first, then the second, and the
last for ever. Nothing is to be kept (TTL 0)."""
import socket
import struct
import sys
import threading

A, ANSWERED, NO_ERROR = 1, 0x8180, 0


def reply(query, answers):
    """RFC 1035, 4.1: the question back, and an answer that points to its name."""
    name_end = query.index(b"\0", 12) + 1
    question, kind = query[12:name_end + 4], struct.unpack("!H", query[name_end:name_end + 2])[0]
    answer = b""
    if kind == A:
        answer = struct.pack("!HHHIH", 0xC00C, A, 1, 0, 4) + socket.inet_aton(answers[0])
        if len(answers) > 1:
            answers.pop(0)
    return query[:2] + struct.pack("!HHHHH", ANSWERED | NO_ERROR, 1, 1 if answer else 0, 0, 0) + question + answer


def serve(server, answers):
    while True:
        query, peer = server.recvfrom(512)
        server.sendto(reply(query, answers), peer)


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 53))
threading.Thread(target=serve, args=(udp, sys.argv[2:]), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
