#!/usr/bin/env python3
"""Queries of tsink and its peers over the same data in the same run: rows 12 to 14 and more.

Goal: CPU a query, as ratios to the best peer, and answers that agree. Method: each contender in
turn is written the same samples by remote write (the very same times: --end), gets quiet, and is
asked every question several times over HTTP; what counts is the least CPU time of the whole
process (nanoseconds of its threads by the scheduler), wall time beside it. Then 8 clients ask a
dashboard of 20 range queries, and once more while remote write goes on at half its peak, with
the latency of the writes with and without them.

Answers are compared: the same series and, where both mean the same by the question, the same
values to 1e-9. VictoriaMetrics' rate and windows are its own, so there the series count. No
sample lies on the edge of a window. Caches of results are off (nocache=1).

usage: bench_query.py [--long] [--only name,...] [--no-peers] [--repeat N]
Part of `make bench`, as rows 12 to 14 and 18.
"""
import argparse
import http.client
import json
import math
import os
import queue
import statistics
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import contenders as co  # pylint: disable=wrong-import-position

tt = co.tt
HOUR = 3600
STEP = 15
PHASE = 7                # seconds from the samples to the steps
REFRESH_S = 1            # of the dashboard beside remote write
QUIET_S = 30             # at most, before a contender is asked
HIST_TARGETS, HIST_ROUNDS = 200, 60
BOUNDS = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
OPTIONS = {
    "tsink": ["--query-max-series", "2000000", "--query-max-memory", "4gb"],
    "victoria-metrics": ["-search.maxSeries=2000000", "-search.maxUniqueTimeseries=2000000",
                         "-search.maxTagValues=2000000", "-search.maxQueryDuration=5m"],
    "prometheus": ["--query.max-samples=100000000"],
}


class Question:
    """One request. same: of whom the values must be the same ("prometheus" always is among
    them); of the others only the number of series is compared."""

    def __init__(self, row, name, what, path, target, same=(), skip=(), **params):
        self.row, self.name, self.what, self.path, self.target = row, name, what, path, target
        self.same, self.skip, self.params = set(same) | {"prometheus"}, set(skip), params

    def url(self):
        return self.path + "?" + urllib.parse.urlencode(dict(self.params, nocache=1), True)


def questions(end, args):
    """end: the time of the last sample, in seconds."""
    vm = "victoria-metrics"
    at = end + PHASE
    day = {"start": at - 6 * HOUR + STEP, "end": at, "step": STEP}
    minute = dict(day, step=60)
    recent = {"start": at - HOUR, "end": at}
    small = () if args.long else ("prometheus",)  # too much to load in the short form

    def over(row, name, expr, span, target=5, **more):
        return Question(row, name, expr, "/api/v1/query_range", target, query=expr, **span, **more)

    def now(name, expr, target=5, **more):
        return Question("18", name, expr, "/api/v1/query", target, query=expr, time=at, **more)

    many, one = '{cluster="many"}', '{cluster="one"}'
    half = '{cluster="many",__name__=~"bench_container_0[0-4].*"}'
    return [
        over("12", "sum_rate_1k", 'sum(rate(%s[5m]))' % one, day),
        over("13", "sum_rate_10k", 'sum(rate({cluster="ten"}[5m]))', day, 7, skip=small),
        over("14", "rate_json", 'rate(%s[5m])' % one, day, 4),
        Question("18", "label_values", "label values", "/api/v1/label/pod/values", 5, {vm},
                 **recent),
        Question("18", "label_values_match", "label values of %s" % many,
                 "/api/v1/label/instance/values", 5, {vm}, **dict(recent, **{"match[]": many})),
        Question("18", "series", "series %s" % many, "/api/v1/series", 5, {vm},
                 **dict(recent, **{"match[]": many})),
        now("regex", 'count({cluster="many",pod=~"app-.*-[0-9a-f]*7[0-9a-f]*-.*"})', same={vm}),
        now("instant", half, same={vm}),
        now("instant_sum", "sum(%s)" % half, same={vm}),
        now("topk", "topk(10, %s)" % many, same={vm}),
        over("18", "topk_range", "topk(5, rate(%s[5m]))" % one, minute, skip={vm}),
        over("18", "quantile_over_time", "max(quantile_over_time(0.9, %s[10m]))" % one, minute),
        over("18", "max_over_time", "max(max_over_time(%s[10m]))" % one, minute),
        over("18", "histogram_quantile",
             "histogram_quantile(0.99, sum by (le, job) (rate(bench_seconds_bucket[5m])))",
             {"start": at - 600, "end": at, "step": STEP}),
        now("count_by", "count by (namespace, container) (%s)" % many, same={vm}),
        now("sum_by_rate", "sum by (namespace) (rate({cluster=\"many\",__name__="
            '"bench_container_03_seconds_total"}[5m]))'),
        over("18", "binary", "sum(rate(%s[5m]) / on (instance, pod) (1 + %s))" % (one, one),
             minute),
    ]


def dashboard(end):
    """20 range queries over what set "one" has, as panels have them."""
    at, one = end + PHASE, '{cluster="one"'
    exprs = []
    for i in range(5):
        some = '%s,namespace="team-%02d"}' % (one, i * 6)
        exprs += ["sum by (zone) (rate(%s[5m]))" % some, "max by (container) (%s)" % some,
                  "avg_over_time(%s[10m])" % some]
    exprs += ["sum(rate(%s}[5m]))" % one, "avg by (container) (%s})" % one,
              "max(quantile_over_time(0.9, %s,zone=\"eu-west-1a\"}[10m]))" % one,
              "sum by (zone) (rate(%s}[5m])) / sum by (zone) (%s})" % (one, one),
              "histogram_quantile(0.9, sum by (le) (rate(bench_seconds_bucket[5m])))"]
    return ["/api/v1/query_range?" + urllib.parse.urlencode(
        {"query": e, "start": at - 3 * HOUR, "end": at, "step": 60, "nocache": 1}) for e in exprs]


# ---- loading ----------------------------------------------------------------------------------

def histograms(contender, end):
    """Classic histograms: counters by le, one request a round."""
    for n in range(HIST_ROUNDS):
        ms = (end - (HIST_ROUNDS - 1 - n) * STEP) * 1000
        series = []
        for target in range(HIST_TARGETS):
            count = 0
            for i, bound in enumerate(BOUNDS):
                count += (n + 1) * (1 + (target * 7 + i * 13) % 50)
                series.append(([("__name__", "bench_seconds_bucket"),
                                ("instance", "10.9.%d.%d:9100" % (target // 200, target % 200)),
                                ("job", "job-%d" % (target % 10)), ("le", bound)],
                               [(float(count), ms)]))
        answer = tt.http_once(contender.http_port, "POST", contender.write_path,
                              tt.snappy(tt.write_request(series)), tt.WRITE_HEADERS)
        tt.check(answer.code in (200, 204), "%s: %d %s" % (contender.name, answer.code,
                                                          tt.clip(answer.body)))


def fill(contender, end, args, load):
    """What the questions are about."""
    words = ["--connections", 1, "--end", end * 1000]
    load(contender, "--set", "c", "--series", 1000, "--metrics", 1, "--rounds", 1440, "--run", "one", *words,
         "write")
    if contender.name != "prometheus" or args.long:
        load(contender, "--set", "c", "--rounds", 1440, "--metrics", 1, "--run", "ten", *words,
             "write")
    load(contender, "--set", "b", "--series", 1000000 if args.long else 200000, "--rounds", 3,
         "--metrics", 10, "--run", "many", *words, "write")
    histograms(contender, end)
    contender.settle()


def cpu_s(pid):
    """CPU seconds of the threads, to the nanosecond. Those that ended are not in it: none of
    the contenders ends threads while it answers."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            total += int(tt.read_text("/proc/%d/task/%s/schedstat" % (pid, task)).split()[0])
        except (OSError, IndexError):
            pass
    return total / 1e9


def quiet(contender):
    """Waits until it has done what the writes made it do."""
    before, began = cpu_s(contender.pid), time.monotonic()
    while time.monotonic() - began < QUIET_S:
        time.sleep(1)
        now = cpu_s(contender.pid)
        if now - before < 0.03:
            return
        before = now


# ---- asking -----------------------------------------------------------------------------------

def ask(contender, url):
    """The body of the answer."""
    link = http.client.HTTPConnection("127.0.0.1", contender.http_port, timeout=300)
    try:
        link.request("GET", url)
        answer = link.getresponse()
        body = answer.read()
    finally:
        link.close()
    tt.check(answer.status == 200, "%s: %s: %d %s" % (contender.name, urllib.parse.unquote(url),
                                                      answer.status, tt.clip(body)))
    return body


def measure(contender, question, repeat):
    cpu, wall = [], []
    for n in range(repeat + 1):      # the first warms up
        used, began = cpu_s(contender.pid), time.monotonic()
        body = ask(contender, question.url())
        if n:
            wall.append(time.monotonic() - began)
            cpu.append(cpu_s(contender.pid) - used)
    return {"cpu": min(cpu), "wall": min(wall), "spread": max(cpu) / max(min(cpu), 1e-9),
            "bytes": len(body), "data": canonical(json.loads(body)["data"])}


def canonical(data):
    """Something to compare: texts, or {labels: [(time, value)...]}."""
    if isinstance(data, list):
        return sorted(data if data and isinstance(data[0], str) else
                      (tuple(sorted(x.items())) for x in data))
    out = {}
    for series in data["result"]:
        points = series.get("values") or [series["value"]]
        out[tuple(sorted(series["metric"].items()))] = points
    return out


def near(a, b):
    a, b = float(a), float(b)
    return a == b or (math.isnan(a) and math.isnan(b)) or \
        abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def difference(question, ours, name, theirs):
    """What is different about the answers, or nothing."""
    a, b = ours["data"], theirs["data"]
    if len(a) != len(b):
        return "%d and %d series" % (len(a), len(b))
    if name not in question.same:
        return ""
    if isinstance(a, list):
        return "" if a == b else "other texts"
    for key, points in a.items():
        if key not in b:
            return "no %s" % dict(key)
        if len(points) != len(b[key]):
            return "%s: %d and %d values" % (dict(key), len(points), len(b[key]))
        for (t, v), (at, w) in zip(points, b[key]):
            if abs(float(t) - float(at)) > 1e-3 or not near(v, w):
                return "%s: [%s, %s] and [%s, %s]" % (dict(key), t, v, at, w)
    return ""


def ask_all(contender, end, rounds):
    """Every panel `rounds` times, by 8 clients; the seconds it took."""
    urls = queue.Queue()
    failed = []
    for url in dashboard(end) * rounds:
        urls.put(url)

    def client():
        try:
            while True:
                ask(contender, urls.get_nowait())
        except queue.Empty:
            pass
        except Exception as error:  # pylint: disable=broad-except
            failed.append(error)

    began = time.monotonic()
    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    if failed:
        raise failed[0]
    return time.monotonic() - began


def panels(contender, end, repeat):
    """CPU and wall of the dashboard alone."""
    ask_all(contender, end, 1)
    best = {}
    for _ in range(repeat):
        used = cpu_s(contender.pid)
        wall = ask_all(contender, end, 1)
        used = cpu_s(contender.pid) - used
        if not best or used < best["cpu"]:
            best = {"cpu": used, "wall": wall}
    return best


def under_load(contender, end, load, seconds):
    """Latency of remote write at half its peak, alone and with the dashboard beside it."""
    words = ["--series", 20000, "--connections", 1, "--memory", 512, "--labels", 9]
    peak = load(contender, *words, "--run", "peak", "--seconds", 2, "write")["rate"]
    pace = max(1, int(peak / 2))
    words += ["--pace", pace, "--seconds", seconds]
    alone = load(contender, *words, "--run", "alone", "write")
    stop, asked, failed = threading.Event(), [], []

    def clients():
        try:
            while not stop.is_set():
                asked.append(ask_all(contender, end, 1))
                stop.wait(max(0, REFRESH_S - asked[-1]))
        except Exception as error:  # pylint: disable=broad-except
            failed.append(error)

    thread = threading.Thread(target=clients)
    thread.start()
    beside = load(contender, *words, "--run", "beside", "write")
    stop.set()
    thread.join()
    if failed:
        raise failed[0]
    out = {"pace": pace, "dashboard_ms": statistics.median(asked) * 1e3}
    for which in ("p50", "p99"):
        out[which + "_alone"] = alone["latency_" + which] / 1e6
        out[which + "_beside"] = beside["latency_" + which] / 1e6
    return out


# ---- the rows ---------------------------------------------------------------------------------

def run(contender, end, args, load):
    fill(contender, end, args, load)
    quiet(contender)
    out = {}
    for q in questions(end, args):
        if contender.name in q.skip or (args.only and q.name not in args.only):
            continue
        out[q.name] = measure(contender, q, args.repeat)
        print("BENCH name=query.%s.%s.cpu value=%.4g unit=ms" % (q.name, contender.name,
                                                              out[q.name]["cpu"] * 1e3))
        print("BENCH name=query.%s.%s.wall value=%.4g unit=ms" % (q.name, contender.name,
                                                               out[q.name]["wall"] * 1e3))
        sys.stdout.flush()
    if not args.only or "dashboard" in args.only:
        out["dashboard"] = panels(contender, end, args.repeat)
        print("BENCH name=query.dashboard.%s.cpu value=%.4g unit=ms"
              % (contender.name, out["dashboard"]["cpu"] * 1e3))
    if contender.name == "tsink" and (not args.only or "load" in args.only):
        out["load"] = under_load(contender, end, load, 10 if args.long else 5)
        for what, value in out["load"].items():
            print("BENCH name=query.load.%s value=%.6g unit=1" % (what, value))
    return out


def report(table, end, args, got):
    mine = got["tsink"]
    for q in questions(end, args):
        if q.name not in mine:
            continue
        peers = {n: o[q.name]["cpu"] for n, o in got.items() if n != "tsink" and q.name in o}
        notes = ["%.3g MB" % (mine[q.name]["bytes"] / 1e6)] if mine[q.name]["bytes"] > 1e6 else []
        for name in peers:
            what = difference(q, mine[q.name], name, got[name][q.name])
            if what:
                notes.append("%s: %s" % (name, what))
        best = min(peers, key=peers.get) if peers else None
        times = peers[best] / mine[q.name]["cpu"] if best else None
        if best:
            notes.insert(0, "%s %.3g ms" % (best, peers[best] * 1e3))
        table.add(q.row, q.what.replace("|", "\\|"), mine[q.name]["cpu"] * 1e3, "ms",
                  ">= %g x less CPU than the best peer" % q.target, times,
                  None if times is None else times >= q.target, "; ".join(notes))
    if "dashboard" in mine:
        peers = {n: o["dashboard"]["cpu"] for n, o in got.items() if n != "tsink"}
        best = min(peers, key=peers.get) if peers else None
        times = peers[best] / mine["dashboard"]["cpu"] if best else None
        table.add("18", "dashboard, 20 range queries, 8 clients", mine["dashboard"]["cpu"] * 1e3,
                  "ms", ">= 5 x less CPU than the best peer", times,
                  None if times is None else times >= 5,
                  "%s %.4g ms" % (best, peers[best] * 1e3) if best else "")
    if "load" in mine:
        figures = mine["load"]
        table.add("18", "p99 of remote write beside the dashboard", figures["p99_beside"],
                  "ms", "unharmed: <= 2 x alone", figures["p99_beside"] / figures["p99_alone"],
                  figures["p99_beside"] <= 2 * figures["p99_alone"],
                  "%.3g M samples/s, alone %.3g ms; client on the same cores"
                  % (figures["pace"] / 1e6, figures["p99_alone"]))


def query_rows(table, args, load):
    """Rows 12 to 14 and 18 of make bench. load(contender, words...) runs tsink-benchmark."""
    end = int(time.time()) // 60 * 60
    got = {}
    for cls in [co.Tsink] + ([] if args.no_peers else co.PEERS):
        if not cls.available():
            print("# %s is not installed (%s)" % (cls.name, cls.program))
            continue
        try:
            with cls(*OPTIONS[cls.name]) as contender:
                got[cls.name] = run(contender, end, args, load)
        except AssertionError as error:
            if cls is co.Tsink:
                raise
            print("# %s: %s" % (cls.name, error))
    report(table, end, args, got)


def main():
    import bench_table as bt  # pylint: disable=import-outside-toplevel,cyclic-import
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", type=lambda s: s.split(","), help="names of questions")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    table = bt.Table()
    query_rows(table, args, bt.load)
    print(table.text())


if __name__ == "__main__":
    main()
