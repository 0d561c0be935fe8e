"""Runs contenders in turn, round by round, and compares them within each round: on a machine that others use too, ratios
of neighbours in time are steady where milliseconds are not."""
import json
import math
import os
import platform
import re
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from typing import Callable

OURS, LIMIT = "ours", "limit"


@dataclass
class Benchmark:
    """One figure. A contender takes nothing and returns the samples of one round, in `unit`. `OURS` and `LIMIT` (the least
    work that the kernel can do it with) are compared with each other and with every peer."""
    name: str
    unit: str
    title: str
    contenders: dict[str, Callable[[], list[float]]]
    higher_is_better: bool = False
    rounds: int = 5
    after: Callable[[], None] | None = None  # what is to be done when all rounds are over
    crowd: int | None = None  # how many tasks there are beside; figures of one family are named alike but for this


@dataclass
class Figure:
    benchmark: Benchmark
    rounds: list[dict[str, list[float]]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def samples(self, who):
        return [s for r in self.rounds for s in r.get(who, [])]

    def median(self, who):
        samples = self.samples(who)
        return statistics.median(samples) if samples else None

    def p99(self, who):
        samples = sorted(self.samples(who))
        return samples[min(len(samples) - 1, int(len(samples) * 0.99))] if samples else None

    def ratio(self, who, to):
        """The median of the rounds' ratios of medians."""
        pairs = [(r[who], r[to]) for r in self.rounds if r.get(who) and r.get(to)]
        ratios = [statistics.median(a) / statistics.median(b) for a, b in pairs if statistics.median(b) > 0]
        return statistics.median(ratios) if ratios else None

    def best_peer(self):
        peers = {p: self.median(p) for p in self.benchmark.contenders if p not in (OURS, LIMIT)}
        peers = {p: m for p, m in peers.items() if m is not None}
        if not peers:
            return None
        return (max if self.benchmark.higher_is_better else min)(peers, key=peers.get)

    def as_json(self):
        """Medians; null where nobody measured."""
        peer = self.best_peer()
        return {"name": self.benchmark.name, "unit": self.benchmark.unit,
                "ours": self.median(OURS), "limit": self.median(LIMIT),
                "peers": {p: self.median(p) for p in self.benchmark.contenders if p not in (OURS, LIMIT)},
                "ratio_to_limit": self.ratio(OURS, LIMIT), "ratio_to_best_peer": self.ratio(OURS, peer) if peer else None,
                "runs": len(self.samples(OURS))}


def measure(benchmark, say):
    figure = Figure(benchmark)
    names = list(benchmark.contenders)
    for number in range(benchmark.rounds):
        results = {}
        # Whoever comes first meets the coldest caches: each round begins with another one.
        for name in names[number % len(names):] + names[:number % len(names)]:
            if name in figure.failed:
                continue
            say(f"{benchmark.name}: round {number + 1} of {benchmark.rounds}, {name}")
            try:
                results[name] = benchmark.contenders[name]()
            except (subprocess.CalledProcessError, OSError, ValueError, RuntimeError) as error:
                figure.failed[name] = explain(error)
        figure.rounds.append(results)
    if benchmark.after:
        benchmark.after()
    return figure


def explain(error):
    said = getattr(error, "stderr", None)
    if isinstance(said, bytes):
        said = said.decode(errors="replace")
    return f"{error}: {said.strip().splitlines()[-1]}" if said and said.strip() else str(error)


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(figures):
    rows = [["what", "unit", "ours p50", "ours p99", "limit p50", "x limit", "best peer", "its p50", "x peer"]]
    for figure in figures:
        peer = figure.best_peer()
        rows.append([figure.benchmark.name, figure.benchmark.unit, number(figure.median(OURS)), number(figure.p99(OURS)),
                     number(figure.median(LIMIT)), number(figure.ratio(OURS, LIMIT)), peer or "-",
                     number(figure.median(peer)) if peer else "-", number(figure.ratio(OURS, peer)) if peer else "-"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text_columns = (0, 1, 6)
    lines = []
    for row in rows:
        lines.append("  ".join(cell.ljust(width) if i in text_columns else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip())
    for figure in figures:
        for who, why in figure.failed.items():
            lines.append(f"{figure.benchmark.name}: {who} failed: {why}")
    return "\n".join(lines)


def slopes(figures):
    """(family, smallest crowd, largest crowd, {who: slope}): how the cost grows with the number of tasks, as the exponent of
    a power law, by least squares over all sizes. 0: a task costs the same however many there are; 1: twice as much among
    twice as many."""
    families = {}
    for figure in figures:
        if figure.benchmark.crowd and figure.median(OURS):
            family = figure.benchmark.name.removesuffix(f"-{figure.benchmark.crowd}")
            families.setdefault(family, {})[figure.benchmark.crowd] = figure
    found = []
    for family, by_crowd in families.items():
        if len(by_crowd) < 2:
            continue
        of = {who: slope({n: f.median(who) for n, f in by_crowd.items()})
              for who in (OURS, LIMIT) if all(f.median(who) for f in by_crowd.values())}
        found.append((family, min(by_crowd), max(by_crowd), of))
    return found


def slope_lines(figures):
    return [f"{family}: slope from {least} to {most} tasks: " + ", ".join(f"{who} {value:+.2f}" for who, value in of.items())
            for family, least, most, of in slopes(figures)]


def slope(costs):
    points = [(math.log(n), math.log(cost)) for n, cost in costs.items()]
    middle_x, middle_y = (statistics.mean(values) for values in zip(*points))
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown")
    return {"kernel": platform.release(), "cores": os.cpu_count(), "processor": model,
            "load": os.getloadavg()[0], "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def renew_document(path, figures):
    """Puts the figures into the table of docs/performance.md, in the place of older ones of the same names."""
    with open(path) as file:
        text = file.read()
    head, table, tail = re.fullmatch(r"(.*<!-- figures -->\n)(.*)(<!-- end of figures -->.*)", text, re.DOTALL).groups()
    lines = table.splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines[2:]}
    today = f"{time.strftime('%Y-%m-%d', time.gmtime())}, load {os.getloadavg()[0]:.0f}"

    def put(name, *cells):
        cells = [cell.replace("|", "\\|") for cell in cells]
        rows[f"`{name}`"] = " | ".join(["| `" + name + "`", *cells, today + " |"])

    for figure in figures:
        peer = figure.best_peer()
        put(figure.benchmark.name, figure.benchmark.title, figure.benchmark.unit, number(figure.median(OURS)),
            number(figure.p99(OURS)), number(figure.median(LIMIT)), number(figure.ratio(OURS, LIMIT)),
            f"{peer}: {number(figure.median(peer))}" if peer else "-", number(figure.ratio(OURS, peer)) if peer else "-",
            str(len(figure.samples(OURS))))
    for family, least, most, of in slopes(figures):
        put(family + "-slope", f"growth of {family} from {least} to {most} tasks", "exponent", f"{of.get(OURS, 0):+.2f}", "-",
            f"{of[LIMIT]:+.2f}" if LIMIT in of else "-", "-", "-", "-", "-")
    with open(path, "w") as file:
        file.write(head + "\n".join([*lines[:2], *rows.values()]) + "\n" + tail)


def write_json(path, figures):
    with open(path, "w") as file:
        json.dump([figure.as_json() for figure in figures], file, indent=1)
        file.write("\n")
