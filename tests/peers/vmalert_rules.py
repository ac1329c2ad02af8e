#!/usr/bin/env python3
"""vmalert evaluates its rules on tsink and writes what comes of it back.

Goal: recording rules, alerts, the state of alerts after a restart and the replay of a past all
work with tsink as the only store. Method: one rules file; vmalert twice as a service, where the
second must go on with the alert of the first; vmalert in replay over an hour of old samples;
what it wrote compared with what the expressions give.

usage: vmalert_rules.py
Exit 0 good, 1 not, 77 a program is missing.
"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer_prometheus as peer  # pylint: disable=wrong-import-position
from peer_prometheus import tt  # pylint: disable=wrong-import-position

RULES = """groups:
  - name: live
    interval: 1s
    rules:
      - record: job:load:sum
        expr: sum by (job) (load)
      - alert: Heavy
        expr: load > 1
        for: 1s
        labels: {severity: page}
"""
REPLAYED = """groups:
  - name: past
    interval: 60s
    rules:
      - record: job:past:sum
        expr: sum by (job) (past)
"""


class Alerter:
    def __init__(self, scratch, server, rules, *options):
        path = os.path.join(scratch, "rules.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(rules)
        self.log = os.path.join(scratch, "vmalert.log")
        self.port = tt.free_ports(1)[0]
        url = "http://127.0.0.1:%d" % server.http_port
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["vmalert", "-rule=" + path, "-datasource.url=" + url, "-remoteWrite.url=" + url,
                 "-remoteWrite.flushInterval=100ms", "-notifier.url=http://127.0.0.1:9",
                 "-httpListenAddr=127.0.0.1:%d" % self.port, "-loggerLevel=WARN"] + list(options),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(tt.PATIENCE_S)


def wait_for(what, condition):
    end = time.monotonic() + tt.PATIENCE_S
    while True:
        got = condition()
        if got:
            return got
        tt.check(time.monotonic() < end, "waited in vain: " + what)
        time.sleep(0.2)


def newest(server, expr):
    return server.query(expr, time.time())["result"]


def service(scratch, server):
    now_ms = int(time.time() * 1000)
    tt.equal(server.write([({"__name__": "load", "job": "j", "instance": "i%d" % i},
                            [(float(i), now_ms)]) for i in range(4)]).code, 204)
    first = Alerter(scratch, server, RULES)
    try:
        rows = wait_for("a recording", lambda: newest(server, "job:load:sum"))
        tt.equal([(r["metric"]["job"], r["value"][1]) for r in rows], [("j", "6")])
        print("ok - a recording rule is written back")
        rows = wait_for("alerts", lambda: newest(server, 'ALERTS{alertstate="firing"}'))
        tt.equal(sorted(r["metric"]["instance"] for r in rows), ["i2", "i3"])
        tt.equal(rows[0]["metric"]["severity"], "page")
        print("ok - alerts fire")
        since = sorted((r["metric"]["instance"], r["value"][1])
                       for r in wait_for("since", lambda: newest(server, "ALERTS_FOR_STATE")))
    finally:
        first.stop()
    url = "http://127.0.0.1:%d" % server.http_port
    second = Alerter(scratch, server, RULES, "-remoteRead.url=" + url, "-remoteRead.lookback=1h")
    try:
        wait_for("alerts again", lambda: len(alerts_of(second)) == 2)
        began = {a["labels"]["instance"]: a["activeAt"] for a in alerts_of(second)}
        for instance, seconds in since:
            want = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(float(seconds)))
            tt.check(began[instance].startswith(want), "%s: active at %s, was %s"
                     % (instance, began[instance], want))
        print("ok - alerts go on after a restart of vmalert")
    finally:
        second.stop()


def alerts_of(alerter):
    try:
        return tt.http_once(alerter.port, "GET", "/api/v1/alerts").json()["data"]["alerts"] or []
    except (OSError, tt.Broken):
        return []


def replay(scratch, server):
    end_s = int(time.time()) // 60 * 60 - 600
    rows = [(float(i % 7), (end_s - 3600 + 30 * i) * 1000) for i in range(120)]
    tt.equal(server.write([({"__name__": "past", "job": "j", "instance": "i%d" % i}, rows)
                           for i in range(2)]).code, 204)
    stamp = ["%s" % time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(s))
             for s in (end_s - 3600, end_s)]
    past = Alerter(scratch, server, REPLAYED, "-replay.timeFrom=" + stamp[0],
                   "-replay.timeTo=" + stamp[1], "-replay.maxDatapointsPerQuery=20",
                   "-datasource.queryStep=1m")
    try:
        tt.equal(past.process.wait(tt.PATIENCE_S), 0, "exit code of a replay")
    finally:
        past.stop()
    span = (end_s - 3600, end_s - 60, 60)
    want = server.query_range("sum by (job) (past)", *span)["result"][0]["values"]
    got = server.query_range("job:past:sum", *span)["result"][0]["values"]
    tt.equal(got, want, "what the replay wrote")
    tt.check(len(want) > 50, want)
    print("ok - the past is replayed")


def run(scratch):
    with tt.Server("--retention", "0") as server:
        try:
            service(scratch, server)
            replay(scratch, server)
        except AssertionError as failure:
            raise AssertionError("%s\nvmalert:\n%s" % (failure, tt.read_text(
                os.path.join(scratch, "vmalert.log"))[-2000:])) from failure


if __name__ == "__main__":
    sys.exit(peer.main(run, "vmalert"))
