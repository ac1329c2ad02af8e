#!/usr/bin/env python3
"""Exemplars beside a real Prometheus: the same bodies leave the same answers.

Goal: what is kept, what is dropped, and how query_exemplars prints and refuses it are as in
Prometheus. Method: the same requests of remote write to both, good and bad ones; a table of
questions, each as GET and POST; status and body compared byte by byte. Left out, because it is
otherwise since 2.42: several exemplars at one time, the position of an empty query, the words
about a bad time.

usage: prometheus_exemplars.py
Exit 0 the same, 1 not, 77 a program is missing.
"""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer_prometheus as peer  # pylint: disable=wrong-import-position
from peer_prometheus import tt  # pylint: disable=wrong-import-position

API = "/api/v1/query_exemplars"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def exemplar(labels, value, ms):
    body = b"".join(tt.field(1, tt.label(*pair)) for pair in labels)
    body += b"\x11" + struct.pack("<d", value)
    return body if ms is None else body + b"\x18" + tt.varint(ms)


def series(labels, samples, exemplars):
    body = b"".join(tt.field(1, tt.label(*pair)) for pair in sorted(labels.items()))
    body += b"".join(tt.field(2, tt.sample(*one)) for one in samples)
    return tt.field(1, body + b"".join(tt.field(3, exemplar(*one)) for one in exemplars))


def bodies(now):
    one, two = ({"__name__": "m_total", "job": job} for job in "ab")
    return (
        series(one, [(1.0, now)], [([("trace_id", "x")], 1.5, now)]) + series(two, [(1.0, now)], []),
        # apart from samples: news, the same again, an older one
        series(one, [], [([("trace_id", "y")], 2.5, now + 1), ([("trace_id", "y")], 2.5, now + 1),
                         ([("trace_id", "old")], 1.0, now - 5)]),
        series(two, [], [([], 0.1, now + 7), ([("b", "2"), ("a", "1")], float("inf"), now + 8),
                         ([("e", "")], 1e300, now + 9), ([("n", "\u00e4\"\n<")], -0.0, now + 10),
                         ([("n", "q")], float("nan"), now + 1000)]),
        series({"__name__": "nobody"}, [], [([("trace_id", "n")], 1.0, now)]),
        series(one, [], [([("trace_id", "z" * 121)], 1.0, now + 20)]),
        series(one, [], [([("trace_id", "z" * 120)], 1.0, now + 21)]),
        series(one, [], [([("trace_id", "timeless")], 3.0, None)]),
        series({"__name__": "up", "job": "c"}, [(1.0, now)], [([("t", "1")], 1e-7, now + 100)]),
    )


def questions(now):
    at, later = now / 1000, (now + 1) / 1000
    return (
        {"query": "m_total"}, {"query": 'm_total{job="a"}'}, {"query": "nothing"},
        {"query": 'rate(m_total{job="b"}[5m]) / on() sum(up)'}, {"query": "m_total or up or m_total"},
        {"query": '{job=~"a|c"}'}, {"query": '{__name__!=""}'}, {"query": "1"}, {"query": '"text"'},
        {"query": "m_total("}, {"query": "{}"}, {"query": "m_total", "start": 5, "end": 1},
        {"query": "m_total(", "start": 5, "end": 1}, {"query": "m_total", "start": at, "end": at},
        {"query": "m_total", "start": later}, {"query": "m_total", "end": later},
        {"query": "m_total", "start": "", "end": ""}, {"query": "m_total", "start": at + 3600},
        {"query": "sum by (job) (m_total)", "start": "1970-01-01T00:00:00Z",
         "end": "2099-01-01T00:00:00Z"},
        {"query": "m_total offset 5m"}, {"query": "m_total @ 5"}, {"query": "m_total[5m:1m]"},
    )


def ask(port, method, params):
    form = peer.form(**params)
    if method == "GET":
        answer = tt.http_once(port, "GET", API + "?" + form)
    else:
        answer = tt.http_once(port, "POST", API, form.encode(), FORM)
    return answer.code, answer.body.decode()


def run(scratch):
    now = int(time.time() * 1000)
    other = peer.Prometheus(scratch, "prometheus", "--web.enable-remote-write-receiver",
                            "--enable-feature=exemplar-storage")
    try:
        with tt.Server() as server:
            ports = (other.port, server.http_port)
            for body in bodies(now):
                for port in ports:
                    answer = tt.http_once(port, "POST", "/api/v1/write", tt.snappy(body),
                                          tt.WRITE_HEADERS)
                    tt.equal(answer.code, 204, answer.body)
            table = [(method, params) for params in questions(now) for method in ("GET", "POST")]
            for method, params in table:
                theirs, ours = (ask(port, method, params) for port in ports)
                tt.equal(ours, theirs, "%s %r" % (method, params))
            print("ok - %d questions about exemplars are answered alike" % len(table))
    finally:
        other.stop()


if __name__ == "__main__":
    sys.exit(peer.main(run))
