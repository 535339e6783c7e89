"""Shared by the `with-` scripts: a private server for one command."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile


def name():
    """The name of the running script."""
    return os.path.basename(sys.argv[0])


def fail(message):
    sys.exit(f"{name()}: {message}")


def can_install():
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(package, found, before=lambda: None, after=lambda: None):
    """Installs a Debian package once, also with concurrent callers: does nothing if `found` reports that
    another run has installed it. `before` and `after` are called around the installation."""
    with open(os.path.join(tempfile.gettempdir(), f"{name()}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if found():
            return
        print(f"{name()}: installing {package} with apt-get (once)", file=sys.stderr)
        log = ""
        before()
        try:
            apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
            for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
                done = subprocess.run(
                    apt + arguments,
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                log += done.stdout
        finally:
            after()
        if not found():
            fail(f"{log}\napt-get could not install {package}: install it by hand")


def free_port():
    """A free port. Another program may still take it first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def killed_with_parent(command, by):
    """The command, wrapped so that even a SIGKILL of this script ends it with the signal `by`."""
    return ["setpriv", "--pdeathsig", by, *command] if shutil.which("setpriv") else command


def last_lines(path):
    with open(path) as file:
        return "".join(file.readlines()[-20:]).rstrip()


def stop(process, number):
    """Stops a server with a signal, and with SIGKILL if it is still running after ten seconds."""
    if process and process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(command, variables):
    """Runs the command with additional environment variables and returns its exit status; forwards
    signals."""
    # On a terminal, Ctrl-C and Ctrl-Z reach the command directly. Otherwise it gets its own process group, so
    # that a signal to this script also ends the command's children.
    own_group = not os.isatty(0)
    try:
        process = subprocess.Popen(command, env={**os.environ, **variables}, start_new_session=own_group)
    except OSError as error:
        fail(f"{command[0]}: {error.strerror}")
    try:
        status = process.wait()
    except BaseException:
        ignore_signals()
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number) if own_group else process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                break
        raise
    return status if status >= 0 else 128 - status


def command_line():
    """The command to run. From here on, a signal ends this script after its cleanup."""
    command = sys.argv[1:]
    if not command:
        fail(f"usage: {sys.argv[0]} COMMAND [ARGUMENT...]")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    return command


def ignore_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
