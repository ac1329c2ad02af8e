#!/usr/bin/env python3
"""PromQL beside a real Prometheus: random queries over random series have the same answers.

Goal: whatever both can say, tsink says as Prometheus does: series, times, values to the last
bit where the formula is the same, errors in the same words.
Method: the same series to both by remote write, half of the samples late; then random
queries, instant and over ranges (promql_random.py), and random texts that are none.

tsink runs without the experimental features that change results (promql-stable yes).

Left out, because Prometheus 3, which tsink follows, means something else by it than 2.42:
  - samples on the edge of a window, which is open on the left in 3 (promql_random.py says how
    they are avoided), and inner steps of subqueries there
  - `.` in a regular expression and a newline, which it matches in 3
  - rate, increase and delta of counters near zero whose window begins in a gap, by
    subqueries also: the zero point now bounds half an interval, not the threshold
  - a comparison that leaves at most one of many matches: 3 fails all the same
  - stddev, stdvar of one infinite value or NaN, which is NaN in 3
  - histogram_quantile of buckets that differ by less than 1e-12, which are now the same
  - topk, bottomk of equal values: which of them is chosen is not determined
  - native histograms: 2.42's are experimental, their functions have changed
  - functions, modifiers and forms that 2.42 has not (names in quotes, numbers for durations,
    ...): where its parser refuses them, tsink's words may be others or none (REWORDED)
  - an offset beside @ under timestamp(), which 2.42 forgets; predict_linear() of a range with
    @, which 2.42 computes at the first step alone; the name of a metric after atan2, which 2.42
    keeps
0 and -0 are the same behind quantile, min and max, where it is chance which of them is met
first, and behind sum, which begins with 0 in 3.
Called by its name of 3: holt_winters is double_exponential_smoothing.
Compared within 1e-9 of the larger: sum, avg, stddev, stdvar (3 sums with compensation), of
series and over time; logarithms and the like (another library); histogram_quantile.

usage: prometheus_promql.py [QUERIES]        TSINK_SEED=n: the same again
Exit 0 the same, 1 not, 77 a program is missing.
"""
import collections
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer_prometheus as peer  # pylint: disable=wrong-import-position
import promql_random as gen  # pylint: disable=wrong-import-position
from peer_prometheus import tt  # pylint: disable=wrong-import-position

QUERIES = 3000
TOLERANCE = 1e-9
ZEROS = -1          # as gen.BITS, but 0 is -0
UNSTABLE = re.compile("quantile|min|max|sum", re.I)
SHOWN = int(os.environ.get("SHOWN", "15"))   # differences printed; all are counted
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CONFIG = "storage:\n  tsdb:\n    out_of_order_time_window: 6h\n"

# Invalid in both, in the same words.
INVALID = [
    "", " ", "(", ")", "{", "}", "1 +", "+", "foo{", "foo}", "foo{a}", "foo{a=}", "foo{a=b}",
    'foo{a="b"', 'foo{a="b" c="d"}', 'foo{a=="b"}', "foo[", "foo[]", "foo[5]]", "foo[5m",
    "foo[-5m]", "foo[5m][5m]", "foo[5m:", "1[5m]", "(foo)[5m]", "foo offset", "foo offset 5",
    "foo offset foo", "1 offset 5m", "sum(foo) offset 5m", "foo @", "foo @ bar",
    "foo @ 1 @ 2", "foo offset 1m offset 2m", "foo @ start(", "foo @ start", "{}", '{a=""}',
    '{a=~".*"}', '{a!="b"}', 'foo{__name__="bar"}', 'foo{a=~"("}', 'foo{a=~"*"}',
    'foo{a=~"[z-a]"}', 'foo{a=~"a{2,1}"}', 'foo{a!~"(?z)"}', 'foo{a=~"\\\\8"}',
    "rate(foo)", "rate(foo[5m], 1)", "rate()", "sum()", "sum(1)", "sum(foo, bar)",
    "topk(foo)", "topk(foo, 1)", "topk(1, foo", "count_values(1, foo)", 'count_values("", foo)',
    "sum by foo (bar)", "sum by (foo", "sum by (1) (foo)", "sum(foo) by (a) by (b)",
    "by (a) (foo)", "abs(1)", 'abs("a")', "abs(foo[5m])", "nofunction(foo)", "rate",
    "abs()", "abs(foo, bar)", "label_replace(foo, 1, 2, 3, 4)", "label_join(foo)",
    "label_join(foo, \"a\")", "vector(foo)", "scalar(1)", "time(1)", "hour(1)", "clamp(foo)",
    "round(foo, 1, 2)", "histogram_quantile(foo, 1)", "quantile(foo, bar)", "foo[5m] + 1",
    "1 + foo[5m]", '"a" + "b"', '"a" + 1', "1 == 1", "1 < 2", "1 and 2", "foo and 1",
    "1 or foo", "foo unless 1", "foo + bool 1", "foo and bool bar", "foo + on bar",
    "foo + on() group_left() group_right() bar", "foo and on() group_left() bar",
    "foo + group_left() bar", "foo * on(a) group_left(a) bar", "foo + on(a)", "1 + on(a) 2",
    "foo or group_right(a) bar", "-foo[5m]", "-\"a\"", "--", "foo bar", "foo 1", "1 2",
    "1foo", "0x", "1e", "5m", "foo[5mm]", "foo[5z]", "foo[0s]", "foo[1h:0s]",
    "foo[99999999999y]", '"abc', "'abc", "`abc", '"\\q"', '"\\x4"', '"\n"', "foo{a='b}",
    "#", "# only a comment", "foo # comment\n +", "$", "foo$", "foo ? bar", "!", "foo ! bar",
    "foo =! bar", "foo =~ bar", "foo = bar", "foo{a>\"b\"}", "foo;", "foo,", ",", "foo{,}",
    "foo{a='b',,}", "rate(foo[5m],)", "sum(,)", "sum by (,) (foo)", "\u00fc", "foo\u00fc",
    "[5m]", "on", "foo on", "offset", "foo[5m:1m:1s]", "foo[:5m]", "foo[:]",
    "min_over_time(foo)", "max_over_time(1)", "absent(foo[5m])", "absent_over_time(foo)",
    "foo * on(a) group_left == bar", "foo * on(a) group_right", "foo * ignoring(a) group_left by",
    "sort(1)", "predict_linear(foo[5m], bar)", "timestamp(1)", "day_of_year(foo[5m])",
    "avg by (a) without (b) (foo)", "sum without (a", "count_values(\"a\", 1)",
    "quantile(0.5)", "group(1)", "stddev(foo[5m])", "bottomk(\"a\", foo)", "foo == bool",
    "(foo", "((foo)", "foo))", "{a=\"b\"", "{__name__=\"\"}", "1 % on() 2",
]


class Asked:
    """One connection to one of the two."""

    def __init__(self, port, rename):
        self.http, self.rename = tt.Http(port), rename

    def ask(self, path, params):
        if self.rename:
            params = dict(params, query=params["query"].replace(
                "holt_winters(", "double_exponential_smoothing("))
        answer = self.http.request("POST", path, peer.form(**params).encode(), FORM)
        tt.check(answer.code in (200, 400, 422), "%s: %d %r" % (params, answer.code, answer.body))
        return answer.code, answer.json()


# ---- comparison ----------------------------------------------------------------------------

def key_of(metric):
    return tuple(sorted(metric.items()))


def series_of(data):
    """{labels: [[time, text]]} of a vector or matrix."""
    rows = {}
    for one in data["result"]:
        key = key_of(one["metric"])
        tt.check(key not in rows, "twice the series %r" % (key,))
        rows[key] = one.get("values") or [one["value"]]
    return rows


def same_value(want, got, level):
    if want == got or (level == ZEROS and {want, got} == {"0", "-0"}):
        return True
    if level != gen.ANY or "NaN" in (want, got):
        return False
    a, b = float(want), float(got)
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b)) + 1e-9


def same_rows(want, got, level):
    return len(want) == len(got) and all(
        a[0] == b[0] and same_value(a[1], b[1], level) for a, b in zip(want, got))


# Which of these is said depends on the order in which series, steps and operands are met.
ORDER = re.compile(r"found duplicate series for the match group .*|multiple matches for labels: .*|"
                   r"vector cannot contain metrics with the same labelset|invalid label name .*|"
                   r"invalid (source label name|destination label name|regular expression) in .*")

# What 2.42 says where 3 has other words: durations are expressions, numbers among them, names
# may be in quotes, any text is a label's name, patterns are named as they were written.
REWORDED = re.compile(r"duration|bad number|error parsing (number|regexp)|unexpected number|"
                      r"<Item \d+>|no expression found in input|in label matching, expected "
                      r"identifier|in grouping opts, expected label|in @, |in subquery or range|"
                      r"trailing commas|unexpected (colon|character)")
# Of these 3 takes some: numbers for durations and the other way round, names in quotes, any text
# as the name of a label.
ALLOWED = re.compile(r"duration|unexpected number|in label matching|in grouping opts|"
                     r"trailing commas|invalid (source |destination )?label name")
# 3 looks for a second match before it compares.
MATCHED_FIRST = re.compile("multiple matches for labels")


def same_error(want, got):
    """What differs of two errors, or None."""
    if want["errorType"] != got["errorType"]:
        return "errorType"
    texts = [ORDER.sub("...", one["error"]) for one in (want, got)]
    return None if texts[0] == texts[1] or REWORDED.search(texts[0]) else "error"


def difference(want, got, level):
    """Why two answers are not the same, or None. Each is (code, body)."""
    if (want[0], got[0]) in ((400, 200), (400, 422), (422, 200)) and ALLOWED.search(want[1]["error"]):
        return None
    if (want[0], got[0]) == (200, 422) and MATCHED_FIRST.search(got[1]["error"]):
        return None
    if want[0] != got[0]:
        return "status %d, %d" % (want[0], got[0])
    if want[0] != 200:
        return same_error(want[1], got[1])
    a, b = want[1]["data"], got[1]["data"]
    if a["resultType"] != b["resultType"]:
        return "resultType"
    if a["resultType"] in ("scalar", "string"):
        return None if same_rows([a["result"]], [b["result"]], level) else "value"
    rows_a, rows_b = series_of(a), series_of(b)
    if set(rows_a) != set(rows_b):
        return "series"
    if a["resultType"] == "matrix" and list(rows_a) != list(rows_b):
        return "order of series"
    for key, rows in rows_a.items():
        if not same_rows(rows, rows_b[key], level):
            return "samples of %r" % (dict(key),)
    return None


def in_words(answer, key=None):
    code, body = answer
    if code != 200:
        return "%d %s: %s" % (code, body["errorType"], body["error"])
    return tt.clip(body["data"]["result"])


class Tally:
    def __init__(self):
        self.kinds, self.wrong = collections.Counter(), 0

    def add(self, kind, params, answers, why):
        self.kinds[kind] += 1
        if why is None:
            return
        self.wrong += 1
        if self.wrong <= SHOWN:
            print("# %s: %s\n#   %r\n#   Prometheus  %s\n#   tsink       %s" % (
                kind, why, params, in_words(answers[0]), in_words(answers[1])))
            if os.environ.get("VERBOSE") and answers[0][0] == answers[1][0] == 200:
                show(answers)


def show(answers):
    """The first samples that differ."""
    a, b = [series_of(one[1]["data"]) for one in answers]
    for key in list(a) + [k for k in b if k not in a]:
        if a.get(key) != b.get(key):
            pairs = [p for p in zip(a.get(key, []), b.get(key, [])) if p[0] != p[1]]
            print("#     %r: %d, %d samples, %r" % (dict(key), len(a.get(key, [])),
                                                   len(b.get(key, [])), pairs[:3]))
            return


# ---- the run -------------------------------------------------------------------------------

def random_params(rng, ranged, start_s):
    """Times of a query: odd seconds; steps even."""
    at = start_s + rng.randrange(-100, gen.SPAN_S + 400) // 2 * 2
    if not ranged:
        return {"time": at}
    step = rng.choice((2, 14, 30, 60, 60, 300))
    return {"start": at, "end": at + step * rng.randrange(0, 80), "step": step}


def compare(rng, both, tally, n, start_s):
    draw = gen.Query(rng, start_s)
    empty = 0
    for _ in range(n):
        ranged = rng.random() < 0.5
        text, level = draw.draw(ranged)
        params = dict(random_params(rng, ranged, start_s), query=text)
        path = "/api/v1/query_range" if ranged else "/api/v1/query"
        answers = [one.ask(path, params) for one in both]
        if level != gen.ANY and UNSTABLE.search(text):
            level = ZEROS
        if "sort" in text[:4]:
            check_order(tally, params, answers)
        why = difference(answers[0], answers[1], level)
        kind = "error" if answers[0][0] != 200 else "range" if ranged else "instant"
        tally.add(kind, params, answers, why)
        empty += answers[0][0] == 200 and not answers[0][1]["data"]["result"]
    return empty


def check_order(tally, params, answers):
    if answers[0][0] == answers[1][0] == 200:
        lists = [[one["value"][1] for one in a[1]["data"]["result"]] for a in answers]
        tally.add("order", params, answers, None if lists[0] == lists[1] else "order")


TOKENS = ["(", ")", "[5m]", "{", "}", "by", "on", "1", "foo", ",", "offset 1m", "and", "bool",
          "==", '"', "rate(", "sum", "@", "#", "5m", "-", "group_left", "[", ":"]


def mutated(rng, text):
    words = re.findall(r"\w+|\s+|.", text)
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(len(words))
        pick = rng.random()
        if pick < 0.4:
            del words[at]
        elif pick < 0.7:
            words.insert(at, rng.choice(TOKENS))
        else:
            other = rng.randrange(len(words))
            words[at], words[other] = words[other], words[at]
        if not words:
            break
    return "".join(words)


def compare_invalid(rng, both, tally, n, start_s):
    """Texts that are no queries: the same error. What is one in both is not looked at."""
    draw = gen.Query(rng, start_s)
    texts = [mutated(rng, draw.draw(False)[0]) for _ in range(n)]
    # A name of another length, and positions are behind it; functions of 3.
    other = re.compile(r"holt_winters|(?<!@ )\b(start|end)\b")
    texts = INVALID + [text for text in texts if not other.search(text)]
    for text in texts:
        params = {"query": text, "time": start_s}
        answers = [one.ask("/api/v1/query", params) for one in both]
        if answers[0][0] == answers[1][0] == 200:
            tally.kinds["valid"] += 1
            continue
        tally.add("invalid", params, answers, difference(answers[0], answers[1], gen.ANY))


def run(scratch):
    n = int(sys.argv[1]) if len(sys.argv) > 1 else QUERIES
    print("# TSINK_SEED=%d" % tt.SEED)
    rng = random.Random(tt.SEED)
    # An odd second, two hours ago: no sample is out of bounds, and none in the future.
    start_s = int(time.time()) // 60 * 60 - 2 * 3600 + 1
    with tt.Server("--retention", "0", "--promql-stable", "yes") as server:
        prom = peer.Prometheus(scratch, "peer", "--web.enable-remote-write-receiver",
                               config=CONFIG)
        try:
            for part in gen.in_order(gen.all_series(rng, (start_s - 1) * 1000)):
                peer.write_both((prom.port, server.http_port), part)
            both = Asked(prom.port, False), Asked(server.http_port, True)
            tally = Tally()
            empty = compare(rng, both, tally, n, start_s)
            compare_invalid(rng, both, tally, n // 4, start_s)
        finally:
            prom.stop()
    print("# %s; %d were empty" % (", ".join("%d %s" % (v, k) for k, v in
                                             sorted(tally.kinds.items())), empty))
    tt.check(tally.wrong == 0, "%d answers differ" % tally.wrong)
    tt.check(empty < n * 2 // 3, "most answers were empty")
    print("ok - %d queries have the same answers" % sum(tally.kinds.values()))


if __name__ == "__main__":
    sys.exit(peer.main(run))
