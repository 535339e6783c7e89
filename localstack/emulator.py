"""Shared by `with-ministack` and `with-localstack`: a private AWS emulator for one command, from PyPI."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

from private_server import fail, free_port, ignore_signals, killed_with_parent, last_lines, name, run  # noqa: E402

START_SECONDS = 120
REGION = "us-east-1"
# The variables that a process needs to start. An emulator passes its whole environment to the functions, so a
# variable of the caller could hide one that the stack forgot. The last one is normally set by Lambda, and
# names a test's daemon.
INHERITED = ("PATH", "LANG", "LC_ALL", "AWS_XRAY_DAEMON_ADDRESS")


def installed(packages):
    """The `bin` folder of the packages that the Makefile installs for a folder of `localstack`; concurrent
    runs wait."""
    folder = f".tools/python/localstack/{packages}"
    with open(os.path.join(tempfile.gettempdir(), f"{name()}-{os.getuid()}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make = ["make", "--silent", "--no-print-directory", "-C", ROOT, f"{folder}/.installed"]
        if subprocess.run(make, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode != 0:
            fail(f"{packages} could not be installed")
    return os.path.join(ROOT, folder, "bin")


def access(address):
    """The variables that direct any AWS client to the emulator."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ENDPOINT_URL_S3": address,  # numeric, or clients resolve a host named after the bucket
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


class Emulator:
    """A program that emulates AWS on a port of 127.0.0.1 and stores everything in a folder."""

    def __init__(self, program, settings, health, folder):
        """`settings` returns the program's environment for a port; `health` is the path that answers once the
        program is ready."""
        self.program = program
        self.settings = settings
        self.health = health
        self.folder = folder
        self.process = None
        self.log_path = os.path.join(folder, "log")

    def start(self):
        """Starts it and returns its URL. Tries another port if another program takes the free port first."""
        for _ in range(10):
            port = free_port()
            address = f"http://127.0.0.1:{port}"
            environment = {variable: os.environ[variable] for variable in INHERITED if variable in os.environ}
            environment |= access(address)
            environment |= {"HOME": self.folder, "TMPDIR": self.folder}
            environment |= self.settings(port, self.folder)
            with open(self.log_path, "w") as log:
                self.process = subprocess.Popen(
                    killed_with_parent(self.program, "TERM"),
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches only the command; the emulator stops after it
                )
            if self.wait_until_ready(address):
                return address
        return fail(f"the emulator does not start:\n{last_lines(self.log_path)}")

    def wait_until_ready(self, address):
        """False if the emulator exits instead of starting."""
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}{self.health}", timeout=5):
                return True
            if time.monotonic() > deadline:
                fail(f"the emulator is not ready after {START_SECONDS} s:\n{last_lines(self.log_path)}")
            time.sleep(0.05)
        return False

    def stop(self):
        """Stops the process group, which includes the functions."""
        for number, seconds in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)


def run_with(command, program, settings, health, log_variable):
    """Runs a command with a private emulator and returns its exit status. `log_variable` receives the log's
    path; all AWS_* variables of the caller are removed."""
    folder = emulator = None
    try:
        folder = tempfile.mkdtemp(prefix=f"revenueflow-{name()}-")
        emulator = Emulator(program, settings, health, folder)
        address = emulator.start()
        for variable in [variable for variable in os.environ if variable.startswith("AWS_")]:
            del os.environ[variable]
        return run(command, {**access(address), log_variable: emulator.log_path})
    finally:
        ignore_signals()
        if emulator and emulator.process:
            emulator.stop()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
