"""The databases that `make bench` feeds with the same requests: tsink and its peers.

Each is a process on free ports of the loopback with a data directory of its own, known by its
pid. What is read of it is what the system says: CPU seconds of the whole process, resident
memory, bytes of all files. Peers are Debian's packages; one that is missing is left out, and
the table says so. Standard library only.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import tsinktest as tt  # pylint: disable=wrong-import-position


def directory_bytes(path):
    """Bytes of all files below, as long as they are; WALs of preallocated files by what the
    caller leaves out."""
    total = 0
    for root, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                pass
    return total


def http_ok(port, method, target, body=None):
    answer = tt.http_once(port, method, target, body)
    tt.check(answer.code in (200, 204), "%s: %d %s" % (target, answer.code, tt.clip(answer.body)))
    return answer


class Contender:
    """A database process. Subclasses say how it is started and where it takes writes."""

    name = package = program = ""
    ready_path = ""
    write_path = "/api/v1/write"

    def __init__(self, *options):
        self.options = list(options)
        self.scratch = tempfile.mkdtemp(prefix="tsink-bench-%s-" % self.name)
        self.data = os.path.join(self.scratch, "data")
        self.log_path = os.path.join(self.scratch, "log")
        self.process = None
        self.pid = self.http_port = 0
        self.start()

    @classmethod
    def available(cls):
        return shutil.which(cls.program) is not None

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.discard()

    def start(self):
        """Starts it and returns the seconds until it is ready."""
        self.http_port = self.http_port or tt.free_ports(1)[0]
        began = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.scratch)
        self.pid = self.process.pid
        tt.running.append(self)
        while True:
            tt.check(self.process.poll() is None, "%s ended:\n%s"
                     % (self.name, tt.read_text(self.log_path)[-2000:]))
            try:
                if tt.http_once(self.http_port, "GET", self.ready_path).code == 200:
                    return time.monotonic() - began
            except (OSError, tt.Broken):
                pass
            tt.check(time.monotonic() - began < 600, "%s is not ready" % self.name)
            time.sleep(0.002)

    def end(self, how):
        """Signals it and waits; the seconds that took."""
        began = time.monotonic()
        if self.process:
            self.process.send_signal(how)
            self.process.wait(600)
            self.process = None
        if self in tt.running:
            tt.running.remove(self)
        return time.monotonic() - began

    def stop(self):
        return self.end(signal.SIGTERM)

    def kill(self):
        return self.end(signal.SIGKILL)

    def discard(self):
        self.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def cpu_s(self):
        return tt.Server.cpu_s(self)

    def rss_bytes(self):
        return tt.Server.rss_kb(self) * 1024

    def write_url(self):
        return "http://127.0.0.1:%d%s" % (self.http_port, self.write_path)

    def settle(self):
        """Makes everything written so far visible and durable."""

    def compact(self):
        """Brings the files to what they are once all merging is done."""

    def disk_bytes(self):
        return directory_bytes(self.data)

    def query(self, expr, at):
        answer = tt.http_once(self.http_port, "GET", "/api/v1/query?" + tt.urllib.parse.urlencode(
            {"query": expr, "time": at}))
        tt.check(answer.code == 200, "%s: %s" % (self.name, tt.clip(answer.body)))
        return answer.json()["data"]["result"]


class Tsink(Contender):
    name = "tsink"
    ready_path = "/-/ready"
    COMMON = ["--admin-api", "yes", "--enable-debug-command", "yes", "--retention", "0"]

    @classmethod
    def available(cls):
        return os.access(tt.server_program(), os.X_OK)

    def command(self):
        self.port = getattr(self, "port", 0) or tt.free_ports(1)[0]
        return [tt.server_program(), "--data-path", self.data, "--port", str(self.port),
                "--http-port", str(self.http_port)] + self.COMMON + self.options

    def resp(self, *words):
        with tt.Resp(self.port) as resp:
            return resp.ok(*words)

    def info(self, section="everything"):
        text = self.resp("INFO", section)
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def metrics(self):
        """Every figure of /metrics by name and labels."""
        text = http_ok(self.http_port, "GET", "/metrics").body.decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if line and line[0] != "#"}

    def settle(self):
        self.resp("DEBUG", "FLUSH")

    def compact(self):
        self.resp("DEBUG", "FLUSH")
        self.resp("DEBUG", "COMPACT")

    def disk_bytes(self):
        """Segments, catalogues, the registry and deletes; the WAL is empty by now, its files
        are only kept to be used again."""
        return sum(directory_bytes(os.path.join(self.data, part)) if os.path.isdir(
            os.path.join(self.data, part)) else os.path.getsize(os.path.join(self.data, part))
            for part in os.listdir(self.data) if part != "wal")


class VictoriaMetrics(Contender):
    name = "victoria-metrics"
    package = program = "victoria-metrics"
    ready_path = "/health"

    def command(self):
        return [self.program, "-storageDataPath=" + self.data, "-retentionPeriod=100y",
                "-httpListenAddr=127.0.0.1:%d" % self.http_port, "-loggerLevel=WARN",
                "-search.disableCache", "-search.latencyOffset=0s"] + self.options

    def settle(self):
        http_ok(self.http_port, "GET", "/internal/force_flush")

    def compact(self):
        """Asks for merges until a single part is left; new parts are not merged at once."""
        self.settle()
        for _ in range(60):
            http_ok(self.http_port, "GET", "/internal/force_merge")
            time.sleep(1)
            text = tt.http_once(self.http_port, "GET", "/metrics").body.decode()
            parts = sum(float(line.split()[-1]) for line in text.splitlines()
                        if line.startswith('vm_parts{type="storage/'))
            if parts <= 1:
                return
        print("# victoria-metrics keeps %d parts" % parts)


class Prometheus(Contender):
    name = package = program = "prometheus"
    ready_path = "/-/ready"

    def command(self):
        config = os.path.join(self.scratch, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("global: {scrape_interval: 1h}\n")
        return [self.program, "--config.file=" + config, "--storage.tsdb.path=" + self.data,
                "--web.listen-address=127.0.0.1:%d" % self.http_port, "--log.level=error",
                "--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100y",
                "--storage.tsdb.allow-overlapping-blocks"] + self.options


PEERS = [VictoriaMetrics, Prometheus]
