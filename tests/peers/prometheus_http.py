#!/usr/bin/env python3
"""The HTTP API beside a real Prometheus: the same requests have the same answers.

Goal: status, kind and words of errors, headers, and the form of every answer are those of
Prometheus on every route that 2.42 has, for good parameters and bad ones.
Method: the same series to both; a table of requests (below), each sent to both; status, body
and the headers that clients look at compared. What is meant to differ is in the table, too, with
the reason: tsink answers as Prometheus 3.

usage: prometheus_http.py
Exit 0 the same, 1 not, 77 a program is missing.
"""
import gzip
import json
import os
import re
import sys
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer_prometheus as peer  # pylint: disable=wrong-import-position
from peer_prometheus import tt  # pylint: disable=wrong-import-position

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
API = "/api/v1/"
# Headers compared: present in both with the same value, or in neither.
HEADERS = ("content-type", "content-encoding", "access-control-allow-origin",
           "access-control-allow-methods", "access-control-allow-headers",
           "access-control-expose-headers", "location")


# What is meant to differ: (requests, what of the answer, why). tsink is as Prometheus 3 where no
# other reason is given. Each line must be of use.
INTENDED = (
    (r"(time|start|end)=(1e30|-?Inf|NaN|-?9223372036854775)", ".*",
     "a time that no clock shows is a bad parameter, not some other time"),
    (r"(timeout|step)=NaN", ".*", "a duration that is no number is a bad parameter"),
    (r"/(series|labels|values)\?start=\d+&end=\d+", ".*", "a range that ends before it starts is a bad parameter"),
    (r"/label/.*/values\?start=|/labels\?start=", "data",
     "names and values of series in the range alone, not of all that are in memory"),
    (r"timeout=(-1|0|0s)$", "error", "where a query timed out is chance"),
    (r"query=%zz|query=1;time=5", "error", "bad escapes and semicolons are told, not skipped"),
    (r"/query_range", "error", "says which parameter is wrong, as an instant query"),
    (r"query=(&|$)|/query$|query\?time=\d|query\?start=|/format_query$|POST /api/v1/query(\?time=5)? ",
     "error", "an empty query has no position"),
    (r"match%5B%5D=(&|$)", "error|body", "an empty selector has no position"),
    (r"%40\+5|~%27%28%27|~%22%28%22", "error|body", "@ is @, and a pattern is shown as it was written"),
    (r"/label/(a-b|1a|%20|%C3%A4|a\.b|job%00)/", ".*", "any text is a label's name"),
    (r"/label/%2F/|/label//|GET /api/v1$|query/$|Query$|//api|\.\.", ".*",
     "paths are taken as they are, and there is no page to lead to"),
    (r"^DELETE /api/v1/series", ".*", "the method is not there, instead of not implemented"),
    (r"/admin/tsdb/", ".*", "routes that are off are not there"),
    (r"^HEAD ", "status|content-type", "HEAD is served on every route of GET"),
    (r"^OPTIONS /-/", "status", "as below /api/v1"),
    (r"/-/healthy|/api/v1/nothing", "access-control.*", "every answer has the headers of CORS"),
    (r"Accept-Encoding': '(\*|deflate, gzip|x-gzip|GZIP)", "content-encoding",
     "codings in any case, chosen by their weight"),
    (r"query=up_like.*Accept-Encoding", "content-encoding", "short answers are not compressed"),
    (r"/status/tsdb$", "form", "there is no head block whose times and chunks could be told"),
    (r"/status/flags$", "form", "its own options"),
    (r"/-/(healthy|ready|reload|quit)|GET /metrics|/version", "body|content-type", "its own words"),
)


class Request:
    """One row. how: what of a good answer must be the same: `all`, the `form` (keys and types),
    or the `status` alone."""

    def __init__(self, method, path, how="all", body=None, headers=None, **params):
        self.method, self.path, self.how, self.body = method, path, how, body
        self.headers = dict(headers or {})
        if params and method == "POST" and body is None:
            self.body = peer.form(**params).encode()
            self.headers.update(FORM)
        elif params:
            self.path += "?" + peer.form(**params)

    def __str__(self):
        body = self.body.decode("latin-1") if self.body else ""
        return ("%s %s %s%s" % (self.method, self.path, body[:200],
                                " %r" % self.headers if self.headers else "")).strip()


def get(path, how="all", **params):
    return Request("GET", API + path, how, **params)


def post(path, how="all", **params):
    return Request("POST", API + path, how, **params)


def times(at):
    """Times that mean something, and such that do not."""
    good = [at, "%d.5" % at, "%d.123456" % at, "1e9", "0", "-1", ".5", "5.", "0x10",
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
            time.strftime("%Y-%m-%dT%H:%M:%S.25+01:00", time.gmtime(at)),
            "2015-07-01T20:10:51.781Z"]
    bad = ["x", "1d", "2015-07-01", "2015-07-01T20:10:51", "2015-13-01T20:10:51Z", "1 ", " 1",
           "2015-07-01 20:10:51Z", "2015-07-01T24:00:00Z", "2015-02-29T00:00:00Z", "+", "1e",
           "2015-07-01T20:10:51+0100", "2015-07-01t20:10:51z", "١"]
    far = ["1e30", "Inf", "-Inf", "NaN", "9223372036854775", "-9223372036854775", "1e400",
           "-62135596801", "9999999999999"]
    return good, bad, far


def durations():
    good = ["1", "1.5", "15s", "1m", "1h30m", "1d", "1w", "1y", "100ms", "1m30s", "1e2", "0.001"]
    bad = ["", "x", "-1", "-1s", "0", "0s", "1x", "1s1m", "1.5m", "s", "NaN", "Inf", "-Inf", "1e30",
           "1 s", "99999y", "1h1h", "9223372037"]
    return good, bad


def query_rows(at):
    good, bad, far = times(at)
    steps, bad_steps = durations()
    rows = [get("query", query="up_like", time=t) for t in good + bad + far]
    rows += [get("query", query="1", time=at, timeout=d) for d in steps + bad_steps]
    rows += [get("query", query=q, time=at) for q in (
        "up_like", "up_like[1m]", "1", '"text"', "1 +", "", "no{", "time()", "nothing", "-up_like",
        "rate(up_like[1m])", "{__name__=~'.*'}", "foo{a=~'('}", "up_like == bool 1", "sum()",
        "label_replace(up_like,'a','b','c','(')", "up_like * on() up_like", "a\u00e4", "\u2028",
        "'<b>&\u2028\u00e4\\u0001\\x7f'", "'a\\n\\t\\\"'", "1e-7", "1e21", "NaN", "-Inf",
        "vector(1e-7)", "vector(1e21)", "vector(NaN)", "vector(-0)", "vector(0.1+0.2)")]
    rows += [get("query"), get("query", query=""), get("query", time=at), post("query"),
             post("query", query="up_like", time=at), post("query", query="1 +"),
             Request("POST", API + "query?query=1", body=b"time=%d" % at, headers=FORM),
             Request("POST", API + "query?query=1&time=5", body=b"query=2&time=6", headers=FORM),
             Request("POST", API + "query?query=1&time=5", body=b"", headers=FORM),
             Request("POST", API + "query", body=b"query=1&time=5",
                     headers={"Content-Type": FORM["Content-Type"] + "; charset=UTF-8"}),
             Request("POST", API + "query?query=1&time=5", body=b"query=2"),
             Request("POST", API + "query?time=5", body=b"{}",
                     headers={"Content-Type": "application/json"}),
             Request("POST", API + "query", body=b"query=%zz", headers=FORM),
             Request("GET", API + "query?query=%zz"), Request("GET", API + "query?query=1;time=5"),
             Request("GET", API + "query?query=1&query=2&time=5"),
             Request("GET", API + "query?query=1%2B1&time=5"),
             Request("GET", API + "query?query=1+%2b+1&time=5"),
             Request("GET", API + "query?&&query=1&&time=5&"),
             Request("GET", API + "query?query=%ff&time=5"),
             Request("GET", API + "query?query='%ff'&time=5")]
    rows += [get("query", "form", query="up_like", time=at, stats=s) for s in ("all", "1", "x", "")]
    rows += [get("query_range", query="up_like", start=t, end=at, step=60)
             for t in bad + ["Inf", "NaN", "1e30", "", at - 300]]
    rows += [get("query_range", query="up_like", start=at, end=t, step=60)
             for t in bad + ["Inf", "NaN", "1e30", "", at - 300, at + 300]]
    rows += [get("query_range", query="up_like", start=at - 600, end=at, step=d)
             for d in steps + bad_steps]
    rows += [get("query_range", query="up_like", start=at - 600, end=at, step=60, timeout=d)
             for d in bad_steps + ["1"]]
    rows += [get("query_range", query=q, start=at - 60, end=at, step=15) for q in (
        "up_like", "up_like[1m]", "1", '"text"', "1 +", "", "nothing", "vector(1e-7)", "1e-7",
        "vector(NaN)", "sum(", "rate(up_like[1m])", "up_like @ start()")]
    rows += [get("query_range"), get("query_range", query="1"), get("query_range", query="1", start=1),
             get("query_range", query="1", start=1, end=2), get("query_range", start=1, end=2, step=1),
             get("query_range", query="1", start=0, end=11000, step=1, how="status"),
             get("query_range", query="1", start=0, end=11001, step=1),
             get("query_range", query="1", start=0, end="1e9", step="1ms"),
             get("query_range", query="1 +", start=0, end=11001, step=1),
             get("query_range", query="1", start=5, end=4, step="x"),
             post("query_range", query="up_like", start=at - 60, end=at, step=15),
             post("query_range", query="up_like", start=at - 60, end=at - 90, step=15),
             get("query_range", "form", query="up_like", start=at - 60, end=at, step=15, stats="all")]
    return rows


def meta_rows(at):
    _, bad, _ = times(at)
    many = ["up_like", '{job="peer"}', "{__name__=~'up.*'}"]
    rows = []
    for path in ("series", "labels", "label/job/values", "label/__name__/values"):
        more = {"match[]": "up_like"} if path == "series" else {}
        rows += [get(path, start=t, **more) for t in bad + ["", at, "0", "1e30", "Inf", "NaN"]]
        rows += [get(path, end=t, **more) for t in bad + ["", at, "0", "1e30", "-1"]]
        rows += [get(path, start=at, end=at - 100, **more), get(path, start="x", end="y", **more)]
        rows += [get(path, **{"match[]": m}) for m in (
            many, "up_like", "nothing", "", "{", "{}", "up_like[1m]", "1", "rate(up_like[1m])",
            "up_like offset 1m", "up_like @ 5", ["up_like", "{"], '{job=~""}', '{job=~"("}',
            '{__name__="up_like"}', "up_like{a='b'}", "sum(up_like)", "{__name__!=''}", '{a=""}')]
        rows += [get(path, **{"match": "up_like"}), get(path)]
        if path[:6] != "label/":
            rows += [post(path, **{"match[]": m}) for m in (many, "{", "nothing")]
            rows += [post(path), Request("POST", API + path + "?match[]=up_like")]
        else:
            rows += [Request("POST", API + path, body=b"", headers=FORM)]
        rows += [Request("DELETE", API + path), Request("PUT", API + path, body=b"")]
    rows += [get("label/%s/values" % name) for name in (
        "nothing", "le", "a-b", "1a", "%20", "%C3%A4", "a.b", "%2F", "__name__x", "job%00")]
    rows += [get("label//values"), get("label/job"), get("label/job/values/x"), get("label"),
             get("metadata"), get("metadata", metric="nothing"), get("metadata", limit="x"),
             get("metadata", limit="1"), get("metadata", limit="0"), get("metadata", limit="-1"),
             get("metadata", limit=""), get("metadata", limit="1.5"), get("metadata", metric=""),
             post("metadata"), get("targets/metadata"), get("targets/metadata", limit="x"),
             get("targets/metadata", match_target="{"), get("targets/metadata", metric="x"),
             get("format_query", query="up_like+1"), get("format_query", query=""),
             get("format_query"), get("format_query", query="1 +"),
             post("format_query", query='sum by(a)(foo{b="c"}) / 2'),
             get("format_query", query="a" * 100 + " + " + "b" * 100)]
    return rows


def status_rows():
    rows = [get(path, "form") for path in (
        "rules", "alerts", "alertmanagers", "targets", "status/buildinfo", "status/runtimeinfo",
        "status/tsdb", "status/walreplay", "status/config", "status/flags")]
    rows += [get("rules", type=t) for t in ("alert", "record", "x", "")]
    rows += [get("targets", "form", state=s) for s in ("active", "dropped", "any", "x", "")]
    rows += [Request(method, API + path, body=b"") for path in (
        "rules", "alerts", "alertmanagers", "targets", "status/buildinfo", "status/runtimeinfo",
        "status/tsdb", "status/walreplay", "status/config", "status/flags", "metadata",
        "targets/metadata") for method in ("POST", "DELETE")]
    rows += [Request(method, API + path, body=b"") for path in (
        "query", "query_range", "format_query", "read", "write") for method in ("PUT", "DELETE")]
    rows += [Request("GET", API + path) for path in ("read", "write", "admin/tsdb/snapshot")]
    rows += [Request(method, API + "admin/tsdb/" + path, body=b"") for path in (
        "snapshot", "delete_series", "clean_tombstones", "x") for method in ("POST", "PUT")]
    rows += [Request(method, path, body=b"" if method in ("POST", "PUT") else None)
             for path in ("/-/reload", "/-/quit", "/-/healthy", "/-/ready", "/-/x", "/metrics",
                          "/federate", "/version")
             for method in ("GET", "HEAD", "POST", "PUT", "DELETE")]
    rows += [Request("GET", path) for path in (
        "/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/x", "/api/v1/query/", "/api/v2/query",
        "/nothing", "/api/v1/status", "/api/v1/status/x", "/api/v1/Query", "//api/v1/query",
        "/api/v1/../v1/query", "/api/v1/query%3Fquery=1")]
    rows += [Request("GET", "/federate?" + peer.form(**{"match[]": m}))
             for m in ("up_like", "nothing", "{", "", "up_like[1m]", ["up_like", "nothing"])]
    return rows


def header_rows(at):
    origin = {"Origin": "http://example.com"}
    good = API + "query?query=up_like&time=%d" % at
    rows = [Request(method, path, headers=headers)
            for path in (good, API + "query?query=1+%2B", API + "nothing", "/-/healthy", API + "rules")
            for headers in (origin, {}) for method in ("GET", "OPTIONS")]
    rows += [Request("GET", path, headers={"Accept-Encoding": coding})
             for path in (API + "query?query=many&time=%d" % at, API + "series?match[]=many",
                          "/-/healthy", good)
             for coding in ("gzip", "deflate", "gzip, deflate", "identity", "br", "*", "gzip;q=0",
                            "deflate, gzip;q=1.0", "x-gzip", "GZIP", "", "snappy")]
    rows += [Request("HEAD", good), Request("HEAD", API + "labels"), Request("GET", good, headers={
        "Accept": "text/html"}), Request("GET", good, headers={"Accept": "application/json"})]
    return rows


# ---- comparison ----------------------------------------------------------------------------

def form_of(value):
    """Keys and types of a JSON value; of a list, those of its first element."""
    if isinstance(value, dict):
        return {key: form_of(one) for key, one in value.items()}
    if isinstance(value, list):
        return [form_of(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) \
        else type(value).__name__


def sorted_vector(data):
    """Series of an instant vector come in any order."""
    result = data.get("result") if isinstance(data, dict) else None
    if isinstance(result, list) and result and isinstance(result[0], dict):
        data = dict(data, result=sorted(result, key=lambda one: sorted(one["metric"].items())))
    if isinstance(data, list) and data and isinstance(data[0], dict):
        data = sorted(data, key=lambda one: sorted(one.items()))
    return data


def comparable(row, answer):
    """What is compared of an answer: {what: value}."""
    out = {"status": answer.code}
    for name in HEADERS:
        out[name] = answer.header(name)
    body = answer.body
    coding = answer.header("content-encoding")
    if coding == "gzip":
        body = gzip.decompress(body)
    elif coding == "deflate":
        body = zlib.decompress(body)
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict) or "status" not in parsed:
        if row.how == "all":
            out["body"] = body.decode("utf-8", "replace").strip()
        return out
    out["keys"] = sorted(set(parsed) - {"warnings", "infos"})
    if parsed["status"] == "error":
        out["errorType"], out["error"] = parsed["errorType"], parsed["error"].replace(
            "Invalid time", "invalid time") # 3 has another case
    elif row.how == "all":
        out["data"] = sorted_vector(parsed.get("data"))
    elif row.how == "form":
        out["form"] = form_of(parsed.get("data"))
    return out


def lacks(want, got):
    """Whether a form lacks something that another has; what it has besides is later than 2.42."""
    if isinstance(want, dict):
        return not isinstance(got, dict) or any(
            key not in got or lacks(one, got[key]) for key, one in want.items())
    if isinstance(want, list):
        return not isinstance(got, list) or bool(want and got and lacks(want[0], got[0]))
    return want != got


class Intended:
    def __init__(self):
        self.used = set()

    def covers(self, row, key):
        for i, (requests, keys, _) in enumerate(INTENDED):
            if re.search(requests, str(row)) and re.fullmatch(keys, key):
                self.used.add(i)
                return True
        return False

    def unused(self):
        return [INTENDED[i][2] for i in range(len(INTENDED)) if i not in self.used]


def differences(row, want, got, intended):
    diff = {key: (want.get(key), got.get(key)) for key in sorted(set(want) | set(got))
            if want.get(key) != got.get(key)}
    if "form" in diff and not lacks(*diff["form"]):
        del diff["form"]
    return {key: both for key, both in diff.items() if not intended.covers(row, key)}


def run(scratch):
    at = int(time.time()) - 120
    series = [({"__name__": "up_like", "job": "peer", "instance": "i%d" % i},
               [(float(i + n), (at - 300) * 1000 + 15000 * n + 250) for n in range(22)])
              for i in range(3)]
    series.append(({"__name__": "other", "job": "other", "text": "<\u00e4\"\\\n>"},
                   [(1.5, at * 1000 - 250)]))
    for i in range(200): # for an answer that is worth compressing
        series.append(({"__name__": "many", "n": "%d" % i}, [(float(i), at * 1000 - 250)]))
    rows = query_rows(at) + meta_rows(at) + status_rows() + header_rows(at)
    wrong, intended = 0, Intended()
    with tt.Server("--retention", "0", "--promql-stable", "yes") as server:
        prom = peer.Prometheus(scratch, "peer", "--web.enable-remote-write-receiver")
        try:
            peer.write_both((prom.port, server.http_port), series)
            for row in rows:
                both = [tt.http_once(port, row.method, row.path, row.body, row.headers)
                        for port in (prom.port, server.http_port)]
                wrong += report(row, differences(row, *[comparable(row, one) for one in both],
                                                 intended))
        finally:
            prom.stop()
    tt.check(not intended.unused(), "never seen: %s" % intended.unused())
    tt.check(not wrong, "%d of %d answers differ" % (wrong, len(rows)))
    print("ok - %d requests have the same answers" % len(rows))


def report(row, diff):
    if not diff:
        return 0
    print("# %s" % row)
    for key, (want, got) in diff.items():
        print("#   %s: Prometheus %s, tsink %s" % (key, tt.clip(want), tt.clip(got)))
    return 1


if __name__ == "__main__":
    sys.exit(peer.main(run))
