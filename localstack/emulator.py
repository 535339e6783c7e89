"""What `with-ministack` and `with-localstack` share: a private AWS emulator for one command, from PyPI."""

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

from private_server import dying_with_us, fail, free_port, ignore_signals, last_lines, name, run  # noqa: E402

START_SECONDS = 120
REGION = "us-east-1"
# What a process needs to start at all. An emulator hands its whole environment on to the functions, so a variable of
# the caller could stand in for one that the stack forgot. The last one is Lambda's own to set, and names a test's daemon.
KEPT = ("PATH", "LANG", "LC_ALL", "AWS_XRAY_DAEMON_ADDRESS")


def installed(packages):
    """The `bin` folder with what the Makefile pins for a folder of `localstack`; one run after another."""
    folder = f".tools/python/localstack/{packages}"
    with open(os.path.join(tempfile.gettempdir(), f"{name()}-{os.getuid()}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make = ["make", "--silent", "--no-print-directory", "-C", ROOT, f"{folder}/.installed"]
        if subprocess.run(make, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode != 0:
            fail(f"{packages} could not be installed")
    return os.path.join(ROOT, folder, "bin")


def access(address):
    """What makes any AWS client use the emulator."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ENDPOINT_URL_S3": address,  # by number, or clients ask for a host named after the bucket
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


class Emulator:
    """A program that emulates AWS on a port of 127.0.0.1 and keeps everything in a folder."""

    def __init__(self, program, settings, health, folder):
        """`settings` says, for a port, what the program is told by its environment; `health` is the path that answers
        once it is ready."""
        self.program = program
        self.settings = settings
        self.health = health
        self.folder = folder
        self.process = None
        self.log_path = os.path.join(folder, "log")

    def start(self):
        """Starts it and returns its address. Another program may take the free port first: then, another port."""
        for _ in range(10):
            port = free_port()
            address = f"http://127.0.0.1:{port}"
            environment = {variable: os.environ[variable] for variable in KEPT if variable in os.environ}
            environment |= access(address)
            environment |= {"HOME": self.folder, "TMPDIR": self.folder}
            environment |= self.settings(port, self.folder)
            with open(self.log_path, "w") as log:
                self.process = subprocess.Popen(
                    dying_with_us(self.program, "TERM"),
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for the command; the emulator stops after it
                )
            if self.wait_until_ready(address):
                return address
        return fail(f"the emulator does not start:\n{last_lines(self.log_path)}")

    def wait_until_ready(self, address):
        """False where the emulator ends instead of starting."""
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}{self.health}", timeout=5):
                return True
            if time.monotonic() > deadline:
                fail(f"the emulator is not ready after {START_SECONDS} s:\n{last_lines(self.log_path)}")
            time.sleep(0.05)
        return False

    def stop(self):
        """The functions are processes of its group, and go with it."""
        for number, seconds in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)


def run_with(command, program, settings, health, log_variable):
    """Runs a command with an emulator of its own and returns its exit status. `log_variable` tells it the log's path;
    whatever AWS_* the caller had is gone."""
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
