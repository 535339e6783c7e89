"""What the `with-` scripts share: a server of its own for one command."""

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
    """The script that was started."""
    return os.path.basename(sys.argv[0])


def fail(message):
    sys.exit(f"{name()}: {message}")


def can_install():
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(package, found, before=lambda: None, after=lambda: None):
    """Installs a Debian package, once however many ask for it, unless `found` says that another run did so meanwhile.
    `before` and `after` are called around the installation."""
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
    """A port that nobody listens on. Another program may still take it first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dying_with_us(command, by):
    """The command, changed so that even a SIGKILL of this script ends it, by this signal."""
    return ["setpriv", "--pdeathsig", by, *command] if shutil.which("setpriv") else command


def last_lines(path):
    with open(path) as file:
        return "".join(file.readlines()[-20:]).rstrip()


def stop(process, number):
    """Stops a server of ours with a signal, and with SIGKILL where that does not do it."""
    if process and process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(command, variables):
    """Runs the command to its end with more environment variables, and returns its exit status; passes signals on."""
    # On a terminal, Ctrl-C and Ctrl-Z reach the command by themselves. Elsewhere it gets a group of its own, so that a
    # signal to this script also ends what the command started.
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
    """What to run. From here on, a signal ends this script in the orderly way."""
    command = sys.argv[1:]
    if not command:
        fail(f"usage: {sys.argv[0]} COMMAND [ARGUMENT...]")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    return command


def ignore_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
