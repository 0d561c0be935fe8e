#!/usr/bin/python3
"""Answers GET /related?q=WORDS with the known questions that share most words with it.

usage: related_questions.py HTTP_PORT HEALTH_PORT CONFIG.json
"""
import json
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


def words_of(text):
    return set(re.findall(r"\w+", text.lower()))


class Index:
    def __init__(self, path, results):
        with open(path, encoding="utf-8") as lines:
            self.questions = [line.strip() for line in lines if line.strip()]
        self.words = [words_of(question) for question in self.questions]
        self.results = results

    def related(self, query):
        wanted = words_of(query)
        scores = [(len(wanted & known) / len(wanted | known), question)
                  for known, question in zip(self.words, self.questions) if wanted & known]
        return [question for _, question in sorted(scores, reverse=True)[: self.results]]


def make_handler(answer):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            started = time.monotonic()
            status, kind, body = answer(urlsplit(self.path))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            print(f"{status} {self.path} {1000 * (time.monotonic() - started):.1f} ms", flush=True)

        def log_message(self, *_):
            pass

    return Handler


def answer_with(index):
    def answer(url):
        if url.path != "/related":
            return 404, "text/plain", b"try /related?q=words\n"
        query = parse_qs(url.query).get("q", [""])[0]
        body = json.dumps({"query": query, "related": index.related(query)}).encode()
        return 200, "application/json", body
    return answer


def answer_health(url):
    return (200, "text/plain", b"ok") if url.path == "/health" else (404, "text/plain", b"")


def main():
    http_port, health_port, config_file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with open(config_file, encoding="utf-8") as file:
        config = json.load(file)
    index = Index(config["questions"], config["results"])
    servers = [ThreadingHTTPServer(("127.0.0.1", http_port), make_handler(answer_with(index))),
               ThreadingHTTPServer(("127.0.0.1", health_port), make_handler(answer_health))]
    # A clean stop on SIGTERM: the answers on their way are given, then the exit status is 0.
    signal.signal(signal.SIGTERM, lambda *_: [threading.Thread(target=s.shutdown).start() for s in servers])
    print(f"{len(index.questions)} questions; http port {http_port}, health port {health_port}", flush=True)
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
