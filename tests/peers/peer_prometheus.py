"""A Prometheus beside a tsink-server, for the scripts of tests/peers. Standard library only."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import tsinktest as tt  # pylint: disable=wrong-import-position


class Prometheus:
    """A prometheus of the system's package on a free port, stopped by its pid."""

    def __init__(self, scratch, name, *options, config=""):
        self.port = tt.free_ports(1)[0]
        path = os.path.join(scratch, name + ".yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("global: {}\n" + config)
        self.log = os.path.join(scratch, name + ".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", "--config.file=" + path, "--log.level=warn",
                 "--storage.tsdb.path=" + os.path.join(scratch, name),
                 "--web.listen-address=127.0.0.1:%d" % self.port] + list(options),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + tt.PATIENCE_S
        while True:
            try:
                if tt.http_once(self.port, "GET", "/-/ready").code == 200:
                    return
            except (OSError, tt.Broken):
                pass
            if time.monotonic() > end or self.process.poll() is not None:
                self.stop()
                raise AssertionError("prometheus does not start:\n" + tt.read_text(self.log))
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(tt.PATIENCE_S)


def form(**params):
    """Parameters in the form of a URL; None is left out, a list is said once for each."""
    return urllib.parse.urlencode({k: v for k, v in params.items() if v is not None}, True)


def write_both(ports, series):
    """The same remote write to each of the ports."""
    body = tt.snappy(tt.write_request(series))
    for port in ports:
        answer = tt.http_once(port, "POST", "/api/v1/write", body, tt.WRITE_HEADERS)
        tt.check(answer.code in (200, 204), "write: %d %r" % (answer.code, answer.body[:300]))


def main(run, *programs):
    """run(scratch), which prints `ok - ` lines and raises AssertionError. The exit code."""
    for program in programs or ("prometheus",):
        if not shutil.which(program):
            print("1..0 # SKIP the program %s is not installed" % program)
            return 77
    scratch = tempfile.mkdtemp(prefix="tsink-peer-")
    try:
        run(scratch)
    except tt.Skip as skip:
        print("1..0 # SKIP %s" % skip)
        return 77
    except AssertionError as failure:
        print("not ok - %s" % failure)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0
