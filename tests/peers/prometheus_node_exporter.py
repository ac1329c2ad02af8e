#!/usr/bin/env python3
"""A real Prometheus scrapes a real node exporter and writes to tsink; then all are asked.

Goal: no batch fails or is retried, and tsink's HTTP API and `redis-cli TS.QUERY` answer as
that Prometheus does. Method: all three on free ports of the loopback with temporary data,
a scrape every two seconds for some minutes, then queries of different kinds at a time that
lies on no edge of a window: Debian's Prometheus 2.42 has windows closed on the left, newer
ones and tsink open. Numbers may differ in the last digits, for sums are taken in another
order.

usage: prometheus_node_exporter.py [--minutes M]     (5; or PEER_MINUTES)
Exit 0 the same, 1 not, 77 a program is missing.
"""
import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import tsinktest as tt  # pylint: disable=wrong-import-position

PACKAGES = {"prometheus": "prometheus", "prometheus-node-exporter": "prometheus-node-exporter",
            "redis-cli": "redis-tools"}
SCRAPE_MS = 2000
SETTLED_MS = 20000     # older samples were sent: Prometheus holds a batch for 5 s at most
TOLERANCE = 1e-9

CONFIG = """\
global:
  scrape_interval: 2s
  external_labels: {}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ['127.0.0.1:%(node)d']}]
  - job_name: prometheus
    static_configs: [{targets: ['127.0.0.1:%(prometheus)d']}]
remote_write:
  - url: http://127.0.0.1:%(tsink)d/api/v1/write
"""

INSTANT = [
    ("selector", 'up'),
    ("regular expression", 'node_cpu_seconds_total{mode=~"user|sys.*",cpu!~"[^0]"}'),
    ("arithmetic and matching", 'node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes'),
    ("rate", 'rate(node_cpu_seconds_total{mode="idle"}[60s])'),
    ("aggregation of increase", 'sum by (mode) (increase(node_cpu_seconds_total[60s]))'),
    ("over time", 'avg_over_time(node_load1[60s])'),
    ("topk", 'topk(3, node_filesystem_size_bytes)'),
    ("histogram", 'histogram_quantile(0.9, sum by (le, handler) '
                  '(rate(prometheus_http_request_duration_seconds_bucket[100s])))'),
    ("count of everything", 'count by (job) ({job=~".+"})'),
    ("offset", 'node_context_switches_total offset 30s'),
    ("subquery", 'max_over_time(sum(rate(node_network_receive_bytes_total[20s]))[60s:4s])'),
    ("join", 'node_boot_time_seconds * on (instance) group_left (release) node_uname_info'),
    ("set operators", 'node_load1 or node_load5 unless node_load15 > 1e9'),
    ("comparison", 'node_filesystem_avail_bytes > bool 1e9'),
    ("label functions", 'label_replace(up, "host", "$1", "instance", "(.*):.*")'),
    ("absence", 'absent(nosuch{job="x"})'),
    ("quantile over time", 'quantile_over_time(0.5, node_memory_MemFree_bytes[60s])'),
    ("range vector", 'node_load1[30s]'),
    ("scalar", 'scalar(node_load1) + 1'),
    ("changes and resets", 'changes(process_resident_memory_bytes[100s]) + '
                           'resets(node_context_switches_total[100s])'),
]
RANGE = [
    ("range of rates", 'sum by (mode) (rate(node_cpu_seconds_total[30s]))'),
    ("range of a gauge", 'node_memory_MemFree_bytes'),
    ("range of a histogram", 'histogram_quantile(0.5, rate('
                             'prometheus_http_request_duration_seconds_bucket[100s]))'),
]


def missing():
    return [package for program, package in PACKAGES.items() if not shutil.which(program)]


class Peers:
    """The exporter and Prometheus; both end with stop()."""

    def __init__(self, scratch, tsink_http_port):
        self.scratch, self.processes = scratch, []
        node, self.port = tt.free_ports(2)
        config = os.path.join(scratch, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG % {"node": node, "prometheus": self.port, "tsink": tsink_http_port})
        self.start("prometheus-node-exporter", "--web.listen-address=127.0.0.1:%d" % node)
        self.start("prometheus", "--config.file=" + config,
                   "--storage.tsdb.path=" + os.path.join(scratch, "prometheus"),
                   "--web.listen-address=127.0.0.1:%d" % self.port, "--log.level=warn")
        self.wait_ready()

    def start(self, *command):
        with open(os.path.join(self.scratch, command[0] + ".log"), "wb") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                                   stderr=log, cwd=self.scratch))

    def wait_ready(self):
        end = time.monotonic() + tt.PATIENCE_S
        while True:
            try:
                if tt.http_once(self.port, "GET", "/-/ready").code == 200:
                    return
            except (OSError, tt.Broken):
                pass
            if time.monotonic() > end or any(p.poll() is not None for p in self.processes):
                raise AssertionError("the peers do not start:\n" + self.logs())
            time.sleep(0.1)

    def logs(self):
        return "".join(tt.read_text(os.path.join(self.scratch, name))[-2000:]
                       for name in os.listdir(self.scratch) if name.endswith(".log"))

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait(tt.PATIENCE_S)

    def figures(self):
        """{name: value} of Prometheus' own remote write metrics."""
        text = tt.http_once(self.port, "GET", "/metrics").body.decode()
        out = {}
        for name, value in re.findall(r"^(prometheus_remote_storage_\w+)(?:\{.*\})? (\S+)$", text,
                                      re.M):
            out[name] = out.get(name, 0.0) + float(value)
        return out


# ---- asking -------------------------------------------------------------------------------

def ask_http(port, path, **params):
    answer = tt.http_once(port, "GET", path + "?" + urllib.parse.urlencode(params))
    body = answer.json()
    tt.check(body["status"] == "success", "%s %s: %s" % (path, params, body))
    return normal(body["data"]["resultType"], body["data"]["result"], 1000)


def ask_redis(port, expr, at_ms):
    # RESP2: redis-cli 7.0 takes a NaN of RESP3 for an error.
    done = subprocess.run(["redis-cli", "-p", str(port), "-2", "--json", "TS.QUERY", expr, "TIME",
                           str(at_ms)], capture_output=True, check=True, text=True)
    reply = tt.flat_map(json.loads(done.stdout))
    kind, result = reply["resultType"], reply["result"]
    if kind == "vector":
        result = [{"metric": dict(labels), "value": point} for labels, point in result]
    if kind == "matrix":
        result = [{"metric": dict(labels), "values": points} for labels, points in result]
    return normal(kind, result, 1)


def normal(kind, result, ms_of_unit):
    """One form for all: {labels: [(ms, number)...]}."""
    def point(pair):
        return round(float(pair[0]) * ms_of_unit), float(pair[1])
    if kind in ("scalar", "string"):
        return kind, {"": [point(result)]}
    return kind, {json.dumps(s["metric"], sort_keys=True):
                  [point(p) for p in (s["values"] if kind == "matrix" else [s["value"]])]
                  for s in result}


def close(a, b):
    return a == b or (math.isnan(a) and math.isnan(b)) or \
        math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-12)


def difference(want, got):
    """The first difference in words, or None."""
    if want[0] != got[0]:
        return "a %s instead of a %s" % (got[0], want[0])
    for key in sorted(set(want[1]) | set(got[1])):
        if key not in got[1] or key not in want[1]:
            return "%s is %s" % (key, "missing" if key not in got[1] else "too much")
        a, b = want[1][key], got[1][key]
        if len(a) != len(b):
            return "%s: %d points instead of %d" % (key, len(b), len(a))
        for (ta, va), (tb, vb) in zip(a, b):
            if ta != tb or not close(va, vb):
                return "%s: %r instead of %r" % (key, (tb, vb), (ta, va))
    return None


# ---- the time asked for -------------------------------------------------------------------

def off_edges(port, about_ms):
    """A time near about_ms whose distance to every scrape, modulo the interval, is large:
    then no sample lies on the edge of a window that is a multiple of the interval."""
    _, series = ask_http(port, "/api/v1/query", query="up[30s]", time=about_ms / 1000)
    phases = sorted({ts % SCRAPE_MS for points in series.values() for ts, _ in points})
    def distance(ms):
        return min(min((ms - p) % SCRAPE_MS, (p - ms) % SCRAPE_MS) for p in phases)
    best = max(range(0, SCRAPE_MS, 10), key=distance)
    at = about_ms // SCRAPE_MS * SCRAPE_MS + best
    tt.check(distance(at) > 100, "scrapes lie too close: %s" % phases)
    return at


# ---- the run --------------------------------------------------------------------------------

def check_figures(peers):
    figures = peers.figures()
    tt.check(figures["prometheus_remote_storage_samples_total"] > 0, "nothing was sent")
    for kind in ("samples", "metadata"):
        for fate in ("failed", "retried", "dropped"):
            name = "prometheus_remote_storage_%s_%s_total" % (kind, fate)
            tt.check(figures.get(name, 0) == 0, "%s is %g" % (name, figures.get(name, 0)))
    tt.note("%d samples sent, none failed, none retried"
            % figures["prometheus_remote_storage_samples_total"])


def compare(peers, server, at_ms):
    for name, expr in INSTANT:
        want = ask_http(peers.port, "/api/v1/query", query=expr, time=at_ms / 1000)
        tt.check(want[1], "Prometheus itself has nothing for %s" % expr)
        with tt.case("%s over HTTP: %s" % (name, expr)):
            found = difference(want, ask_http(server.http_port, "/api/v1/query", query=expr,
                                              time=at_ms / 1000))
            tt.check(not found, found)
        with tt.case("%s by redis-cli" % name):
            found = difference(want, ask_redis(server.port, expr, at_ms))
            tt.check(not found, found)
    for name, expr in RANGE:
        with tt.case("%s over HTTP: %s" % (name, expr)):
            params = {"query": expr, "start": (at_ms - 60000) / 1000, "end": at_ms / 1000,
                      "step": 4}
            want = ask_http(peers.port, "/api/v1/query_range", **params)
            tt.check(want[1], "Prometheus itself has nothing")
            found = difference(want, ask_http(server.http_port, "/api/v1/query_range", **params))
            tt.check(not found, found)


def run(minutes):
    scratch = tempfile.mkdtemp(prefix="tsink-peers-")
    peers = None
    with tt.Server() as server:
        try:
            peers = Peers(scratch, server.http_port)
            time.sleep(minutes * 60)
            with tt.case("no failed, retried or dropped sample"):
                check_figures(peers)
            compare(peers, server, off_edges(peers.port, int(time.time() * 1000) - SETTLED_MS))
            with tt.case("a restart changes no answer"):
                server.restart()
                at_ms = off_edges(peers.port, int(time.time() * 1000) - 30000)
                expr = "sum by (mode) (increase(node_cpu_seconds_total[60s]))"
                found = difference(
                    ask_http(peers.port, "/api/v1/query", query=expr, time=at_ms / 1000),
                    ask_http(server.http_port, "/api/v1/query", query=expr, time=at_ms / 1000))
                tt.check(not found, found)
        finally:
            if peers:
                peers.stop()
            shutil.rmtree(scratch, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float,
                        default=float(os.environ.get("PEER_MINUTES", "5")))
    args = parser.parse_args()
    if missing():
        print("SKIP: apt-get install %s" % " ".join(missing()))
        return 77
    try:
        tt.server_program()
    except tt.Skip as skip:
        print("SKIP: %s" % skip)
        return 77
    run(args.minutes)
    print("1..%d" % tt.tap.count)
    return 1 if tt.tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
