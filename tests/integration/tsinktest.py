"""What the tests of the whole server share: a server on free ports, clients, bodies, TAP.

A test program is a script of functions named test_*; it ends with tsinktest.main(globals()).
Each function is a case, or several when it calls case(). Cases print `ok` and `not ok` lines
(TAP), so that automake's driver and tests/summary.sh can count them.

    UNIT_TAP=1      exit 0 whatever the cases said: a TAP harness reads the lines
    UNIT_ONLY=word  only the functions whose name has the word
    TSINK_BUILD     the build folder (default: the current one); SERVER overrides the program
    TSINK_SEED      seed of random choices; it is printed first
    TSINK_LONG=1    be thorough

Standard library only. Python 3.9 and later.
"""
import atexit
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

STALE = 0x7FF0000000000002      # the staleness marker's bits
LONG = os.environ.get("TSINK_LONG", "") not in ("", "0")
# What a sanitizer prints when it found something.
SANITIZER = re.compile(r"(ERROR|WARNING|SUMMARY): \w*Sanitizer|runtime error:|"
                       r"\[(panic|crash)\]|Assertion|ASSERT")
# A sanitizer build is slow, and the machine may be busy: no wait is shorter than this.
PATIENCE_S = 60.0


# ---- TAP ------------------------------------------------------------------------------

class Skip(Exception):
    """The rest of a function cannot run here; the text names what is missing."""


class Tap:
    """Numbers cases and prints them. Safe to use from several threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0
        self.failed = 0

    def line(self, good, name, why="", directive=""):
        with self.lock:
            self.count += 1
            if not good:
                self.failed += 1
                for text in str(why).splitlines():
                    print("# " + text)
            name = name.replace("#", "\\#")
            print("%s %d - %s%s" % ("ok" if good else "not ok", self.count, name, directive))
            sys.stdout.flush()

    def skip(self, name, why):
        self.line(True, name, directive=" # SKIP " + why)


tap = Tap()


@contextlib.contextmanager
def case(name):
    """One case: what is raised inside is its failure, and the function goes on."""
    try:
        yield
    except Skip as skip:
        tap.skip(name, str(skip))
    except Exception:  # pylint: disable=broad-except
        tap.line(False, name, traceback.format_exc(limit=-4))
    else:
        tap.line(True, name)


def note(text):
    print("# " + text)
    sys.stdout.flush()


def check(condition, text="condition does not hold"):
    if not condition:
        raise AssertionError(text)


def equal(got, want, what=""):
    if got != want:
        raise AssertionError("%s\n  got  %s\n  want %s" % (what, clip(got), clip(want)))


def clip(value):
    text = repr(value)
    return text if len(text) <= 600 else text[:600] + "... (%d)" % len(text)


def main(names):
    """Runs the functions test_* of a module's globals, in their order in the file."""
    only = os.environ.get("UNIT_ONLY", "")
    tests = [f for n, f in names.items() if n.startswith("test_") and callable(f) and only in n]
    tests.sort(key=lambda f: f.__code__.co_firstlineno)
    try:
        server_program()
    except Skip as skip:
        print("1..0 # SKIP %s" % skip)
        sys.exit(0 if os.environ.get("UNIT_TAP") else 77)
    print("# TSINK_SEED=%d" % SEED)
    for test in tests:
        before = tap.count
        name = test.__name__[len("test_"):]
        try:
            test()
        except Skip as skip:
            tap.skip(name, str(skip))
        except Exception:  # pylint: disable=broad-except
            tap.line(False, name, traceback.format_exc(limit=-4))
        else:
            if tap.count == before:
                tap.line(True, name)
    print("1..%d" % tap.count)
    sys.stdout.flush()
    sys.exit(1 if tap.failed and not os.environ.get("UNIT_TAP") else 0)


SEED = int(os.environ.get("TSINK_SEED", "0"), 0) or random.SystemRandom().randrange(1, 1 << 32)


# ---- the server --------------------------------------------------------------------------

def server_program():
    build = os.environ.get("TSINK_BUILD", os.getcwd())
    path = os.environ.get("SERVER", os.path.join(os.path.abspath(build), "src", "tsink-server"))
    if not os.access(path, os.X_OK):
        raise Skip("no server at %s" % path)
    return path


def free_ports(n):
    """n TCP ports of the loopback that nobody has just now."""
    held = [socket.socket() for _ in range(n)]
    try:
        for s in held:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in held]
    finally:
        for s in held:
            s.close()


def read_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


running = []


def stop_all():
    """Ends what a test left running. Servers are known by their pid alone."""
    while running:
        running[-1].kill()


atexit.register(stop_all)


class Server:
    """A tsink-server with a data directory of its own, which goes with discard().

    Use as a context manager: leaving it stops the server with SIGTERM and checks that it
    exits with 0 and that no sanitizer had anything to say.
    """

    def __init__(self, *options, data=None, port=None, start=True):
        self.scratch = tempfile.mkdtemp(prefix="tsink-test-")
        self.data = data or os.path.join(self.scratch, "data")
        self.options = list(options)
        self.port, self.http_port = port or free_ports(2)
        self.log_path = os.path.join(self.scratch, "server.log")
        self.process = None
        self.pid = 0
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if self.process and kind is None:
                self.stop()
        finally:
            self.discard()

    def command(self):
        return [server_program(), "--data-path", self.data, "--port", str(self.port),
                "--http-port", str(self.http_port)] + self.options

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.scratch)
        self.pid = self.process.pid
        running.append(self)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s=PATIENCE_S):
        end = time.monotonic() + timeout_s
        while True:
            code = self.process.poll()
            if code is not None:
                self.forget()
                raise AssertionError("the server ended with %d before it was ready:\n%s"
                                     % (code, self.log_tail()))
            try:
                if http_once(self.http_port, "GET", "/-/ready").code == 200:
                    return
            except (OSError, Broken):
                pass
            if time.monotonic() > end:
                raise AssertionError("not ready after %.0f s:\n%s" % (timeout_s, self.log_tail()))
            time.sleep(0.005)

    def forget(self):
        if self in running:
            running.remove(self)
        self.process = None

    def wait(self, timeout_s=PATIENCE_S):
        """The exit code once it ended."""
        code = self.process.wait(timeout_s)
        self.forget()
        return code

    def stop(self):
        """SIGTERM; the exit code must be 0 and the log free of sanitizer reports."""
        self.process.send_signal(signal.SIGTERM)
        code = self.wait()
        check(code == 0, "exit code %d after SIGTERM:\n%s" % (code, self.log_tail()))
        self.check_log()

    def kill(self):
        """kill -9, and the end awaited."""
        if self.process:
            self.process.kill()
            self.process.wait(PATIENCE_S)
            self.forget()

    def restart(self):
        self.stop()
        self.start()

    def discard(self):
        self.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def log(self):
        return read_text(self.log_path)

    def log_tail(self):
        return self.log()[-3000:]

    def check_log(self):
        found = SANITIZER.search(self.log())
        check(not found, "in the server's log:\n%s"
              % (self.log()[max(0, found.start() - 500):][:6000] if found else ""))

    def rss_kb(self):
        """Resident memory now."""
        match = re.search(r"VmRSS:\s+(\d+)", read_text("/proc/%d/status" % self.pid))
        return int(match.group(1))

    def cpu_s(self):
        """CPU seconds used so far, user and system."""
        fields = read_text("/proc/%d/stat" % self.pid).rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # --- shorthand ---

    def resp(self, protocol=2):
        return Resp(self.port, protocol)

    def http(self):
        return Http(self.http_port)

    def query(self, expr, at, **more):
        """The data of an instant query at a time in seconds."""
        return self.api("/api/v1/query", query=expr, time=at, **more)

    def query_range(self, expr, start, end, step, **more):
        return self.api("/api/v1/query_range", query=expr, start=start, end=end, step=step, **more)

    def api(self, path, **params):
        """The data of a successful GET of the API."""
        answer = http_once(self.http_port, "GET", path + "?" + urllib.parse.urlencode(params, True))
        check(answer.code == 200, "%s: %d %s" % (path, answer.code, clip(answer.body)))
        body = answer.json()
        equal(body.get("status"), "success", path)
        return body["data"]

    def write(self, series, **more):
        """Remote write; the answer."""
        return http_once(self.http_port, "POST", "/api/v1/write", snappy(write_request(series)),
                         dict(WRITE_HEADERS, **more))


WRITE2_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


def write_request2(series, symbols=None):
    """Remote write 2.0: [(labels, [(value, ms)], metadata or None)]; a sample may have a third
    member, its start timestamp; metadata is (type, help, unit) with texts."""
    table = {"": 0} if symbols is None else symbols

    def ref(text):
        return table.setdefault(text, len(table))

    body = b""
    for labels, samples, meta in series:
        refs = b"".join(varint(ref(k)) + varint(ref(v)) for k, v in labels)
        one = field(1, refs)
        for value, ms, *start in samples:
            one += field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(ms) +
                         b"".join(b"\x18" + varint(at) for at in start))
        if meta:
            one += field(5, b"\x08" + varint(meta[0]) + b"\x18" + varint(ref(meta[1])) +
                         b"\x20" + varint(ref(meta[2])))
        body += field(5, one)
    return b"".join(field(4, text.encode()) for text in table) + body


# ---- sockets ------------------------------------------------------------------------------

class Broken(Exception):
    """The peer closed, or sent what is not the protocol."""


class Wire:
    """A TCP connection with a buffer for reading."""

    def __init__(self, port, timeout_s=PATIENCE_S):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(timeout_s)
        self.held = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        try:
            more = self.sock.recv(65536)
        except ConnectionError as error:
            raise Broken("connection: %s, had %s" % (error, clip(self.held))) from error
        if not more:
            raise Broken("closed by the server, had %s" % clip(self.held))
        self.held += more

    def line(self):
        """One line without its CRLF."""
        while b"\r\n" not in self.held:
            self.fill()
        text, self.held = self.held.split(b"\r\n", 1)
        return text

    def take(self, n):
        while len(self.held) < n:
            self.fill()
        data, self.held = self.held[:n], self.held[n:]
        return data

    def rest(self):
        """All bytes until the peer closes."""
        try:
            while True:
                self.fill()
        except Broken:
            data, self.held = self.held, b""
            return data

    def closed(self):
        """Whether the peer closes without another byte."""
        return self.rest() == b""


# ---- RESP ---------------------------------------------------------------------------------

class RespError(str):
    """An error reply: the line after '-'."""


def command_bytes(*args):
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Resp(Wire):
    """A client that gives replies as Python values, or as the exact bytes."""

    def __init__(self, port, protocol=2):
        super().__init__(port)
        if protocol == 3:
            self.do("HELLO", 3)

    def do(self, *args):
        """One command; errors come back as RespError."""
        self.send(command_bytes(*args))
        return self.reply()

    def ok(self, *args):
        """One command that must not fail."""
        reply = self.do(*args)
        check(not isinstance(reply, RespError), "%s: %s" % (args, reply))
        return reply

    def pipeline(self, commands):
        self.send(b"".join(command_bytes(*c) for c in commands))
        return [self.reply() for _ in commands]

    def raw_reply(self):
        """The bytes of one reply, and nothing of the next."""
        head = self.line()
        if not head:
            raise Broken("an empty line where a reply should be")
        out, kind = head + b"\r\n", head[:1]
        if kind in b"$=" and head[1:] != b"-1":
            out += self.take(int(head[1:]) + 2)
        elif kind in b"*~>" and head[1:] != b"-1":
            out += b"".join(self.raw_reply() for _ in range(int(head[1:])))
        elif kind in b"%|":
            out += b"".join(self.raw_reply() for _ in range(2 * int(head[1:])))
            if kind == b"|":
                out += self.raw_reply()
        elif kind not in b"+-:_,#($*=":
            raise Broken("not a reply: %s" % clip(head))
        return out

    def reply(self):
        head = self.line()
        kind, text = head[:1], head[1:]
        if kind == b"+":
            return text.decode("utf-8", "replace")
        if kind == b"-":
            return RespError(text.decode("utf-8", "replace"))
        if kind in (b":", b"("):
            return int(text)
        if kind == b",":
            return float(text)
        if kind == b"#":
            return text == b"t"
        if kind == b"_" or text == b"-1":
            return None
        if kind in (b"$", b"="):
            return self.take(int(text) + 2)[:-2].decode("utf-8", "replace")
        if kind in (b"*", b"~", b">"):
            return [self.reply() for _ in range(int(text))]
        if kind == b"%":
            return [(self.reply(), self.reply()) for _ in range(int(text))]
        raise Broken("not a reply: %s" % clip(head))


def flat_map(reply):
    """A map of RESP2 (flat array) or RESP3 (pairs) as a dict."""
    if reply and isinstance(reply[0], tuple):
        return dict(reply)
    return dict(zip(reply[0::2], reply[1::2]))


# ---- HTTP ---------------------------------------------------------------------------------

class Answer:
    """A response: code, reason, headers (lower-case names; lists of values), body."""

    def __init__(self, code, reason, headers, body):
        self.code, self.reason, self.headers, self.body = code, reason, headers, body

    def header(self, name):
        """All values of a header joined, or None."""
        values = self.headers.get(name.lower())
        return None if values is None else ", ".join(values)

    def json(self):
        return json.loads(self.body)


class Http(Wire):
    """A client that sends exactly the bytes it is told to and reads one answer at a time."""

    def request(self, method, target, body=None, headers=None):
        self.send(request_bytes(method, target, body, headers))
        return self.answer(method == "HEAD")

    def answer(self, is_head=False):
        status = self.line().decode("latin-1")
        match = re.fullmatch(r"HTTP/1\.1 (\d\d\d) (.*)", status)
        if not match:
            raise Broken("not a status line: %r" % status)
        code, headers = int(match.group(1)), {}
        while True:
            line = self.line().decode("latin-1")
            if not line:
                break
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        body = b""
        if code >= 200 and code not in (204, 304) and not is_head:
            body = self.body(headers)
        return Answer(code, match.group(2), headers, body)

    def body(self, headers):
        if headers.get("transfer-encoding") == ["chunked"]:
            check("content-length" not in headers, "both lengths")
            out = b""
            while True:
                size = int(self.line().split(b";")[0], 16)
                if size == 0:
                    while self.line():
                        pass
                    return out
                out += self.take(size)
                equal(self.take(2), b"\r\n", "the end of a chunk")
        if "content-length" in headers:
            equal(len(headers["content-length"]), 1, "Content-Length")
            return self.take(int(headers["content-length"][0]))
        return self.rest()


def request_bytes(method, target, body=None, headers=None):
    lines = ["%s %s HTTP/1.1" % (method, target)]
    headers = dict(headers or {})
    headers.setdefault("Host", "localhost")
    if body is not None:
        headers.setdefault("Content-Length", str(len(body)))
    lines += ["%s: %s" % (k, v) for k, v in headers.items() if v is not None]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def http_once(port, method, target, body=None, headers=None):
    with Http(port) as http:
        return http.request(method, target, body, headers)


# ---- remote write ---------------------------------------------------------------------------

WRITE_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def double_bits(value):
    """The bits of a double; an int is taken as bits already (NaN with its payload)."""
    return value if isinstance(value, int) else struct.unpack("<Q", struct.pack("<d", value))[0]


def sample(value, ts_ms):
    return b"\x09" + struct.pack("<Q", double_bits(value)) + b"\x10" + varint(ts_ms)


def label(name, value):
    as_bytes = [x if isinstance(x, bytes) else x.encode() for x in (name, value)]
    return field(1, as_bytes[0]) + field(2, as_bytes[1])


def time_series(labels, samples):
    """labels: dict or list of pairs; samples: list of (value, ts in ms)."""
    pairs = sorted(labels.items()) if isinstance(labels, dict) else labels
    return b"".join(field(1, label(n, v)) for n, v in pairs) + \
        b"".join(field(2, sample(v, t)) for v, t in samples)


def write_request(series):
    """series: list of (labels, samples)."""
    return b"".join(field(1, time_series(labels, samples)) for labels, samples in series)


def snappy(data):
    """A snappy block of literals: any reader must take it."""
    out = bytearray(varint(len(data)))
    for at in range(0, len(data), 65536):
        part = data[at:at + 65536]
        out += b"\xf4" + struct.pack("<H", len(part) - 1) + part
    return bytes(out)


def zstd(data, run=0):
    """A zstd frame of raw blocks: any reader must take it. The last `run` bytes, which are
    all the same, are a block of one byte and how often."""
    parts = [(0, data[at:at + 65536]) for at in range(0, len(data) - run, 65536)]
    if run:
        check(data[-run:] == data[-1:] * run, "not a run")
        parts = [(0, data[:-run]), (1, data[-1:])]
    out = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data))
    for i, (kind, part) in enumerate(parts):
        size = run if kind else len(part)
        out += struct.pack("<I", (i == len(parts) - 1) | kind << 1 | size << 3)[:3] + part
    return out


# ---- remote read ------------------------------------------------------------------------------

READ_SAMPLES, READ_STREAMED = 0, 1
READ_HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
                "X-Prometheus-Remote-Read-Version": "0.1.0"}


def take_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """[(number, value)]: a varint as int, eight bytes as bits, else bytes."""
    at, out = 0, []
    while at < len(data):
        tag, at = take_varint(data, at)
        if tag & 7 == 0:
            value, at = take_varint(data, at)
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        else:
            n, at = take_varint(data, at)
            value, at = data[at:at + n], at + n
        out.append((tag >> 3, value))
    return out


def unsnappy(data):
    n, at = take_varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(data[at:at + extra], "little")
                at += extra
            out += data[at:at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            size = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + size], "little")
            at += size
        for _ in range(length):
            out.append(out[-offset])
    equal(len(out), n, "length of a snappy block")
    return bytes(out)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint_field(number, value):
    """Left out when it is zero, as proto3 does."""
    return varint(number << 3) + varint(value) if value else b""


def read_request(kind, queries):
    """queries: [(from, to, [(type, name, value)])]"""
    out = b""
    for start, end, matchers in queries:
        body = varint_field(1, start) + varint_field(2, end)
        for op, name, value in matchers:
            body += field(3, varint_field(1, op) + field(2, name.encode()) +
                          field(3, value.encode()))
        out += field(1, body)
    accepted = [kind] if kind == READ_SAMPLES else [READ_STREAMED, READ_SAMPLES]
    return snappy(out + field(2, b"".join(varint(k) for k in accepted)))


# ---- somebody else ----------------------------------------------------------------------------

class Bystander:
    """Connections of somebody who does nothing wrong, while others do. Asks again and again
    on a RESP and an HTTP connection; check() fails unless every answer was right."""

    def __init__(self, server, period_s=0.01):
        self.server, self.period_s = server, period_s
        self.at_s = int(time.time()) - 60
        equal(server.write([({"__name__": "bystander"}, [(42.5, self.at_s * 1000)])]).code, 204)
        self.stopping = threading.Event()
        self.wrong, self.asked, self.slowest_s = [], 0, 0.0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with self.server.resp() as resp, self.server.http() as http:
                while not self.stopping.wait(self.period_s):
                    start = time.monotonic()
                    self.ask(resp, http)
                    self.slowest_s = max(self.slowest_s, time.monotonic() - start)
                    self.asked += 1
        except Exception as error:  # pylint: disable=broad-except
            self.wrong.append(repr(error))

    def ask(self, resp, http):
        word = "w%d" % self.asked
        equal(resp.do("ECHO", word), word)
        equal(resp.do("TS.GET", "bystander{}"), [self.at_s * 1000, "42.5"])
        answer = http.request("GET", "/api/v1/query?query=bystander&time=%d" % self.at_s)
        equal(answer.code, 200)
        equal(answer.json()["data"]["result"][0]["value"], [self.at_s, "42.5"])

    def check(self):
        self.stopping.set()
        self.thread.join(PATIENCE_S)
        check(not self.wrong, "a bystander got: %s" % self.wrong)
        check(self.asked > 0, "a bystander never got an answer")
        note("bystander: %d rounds, slowest %.0f ms" % (self.asked, self.slowest_s * 1e3))
