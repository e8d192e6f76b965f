"""Installs the Python peers of the tests and prints the path of their interpreter.

    python3 tests/peers/setup.py [TARGET_DIR]

The peers live in a virtual environment in `TARGET_DIR/peers/venv` (default: `$CARGO_TARGET_DIR`, or `target/` of the
project). It is made once, and again when `requirements.txt` or the Python changes. Test programs that ask at the same
time wait for one another.

Progress goes to stderr, the path to stdout. A peer that cannot be installed is a failure: the last lines on stderr name
the package, and the exit status is 1.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
WINDOWS = os.name == "nt"


class Failed(Exception):
    """A peer could not be installed."""


def target_dir() -> Path:
    if len(sys.argv) > 1:
        return Path(sys.argv[1]).resolve()
    return Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parents[1] / "target").resolve()


@contextmanager
def locked(path: Path):
    """Holds `path` against other processes; the operating system lets go of it if we die."""
    with open(path, "a+") as file:
        if WINDOWS:
            import msvcrt
            import time

            while True:
                try:
                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
                except OSError:
                    time.sleep(0.2)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command: list, what: str) -> None:
    """Runs `command` and passes what it prints on to stderr, without its noise."""
    tail = deque(maxlen=12)
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH")}
    pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with subprocess.Popen(command, **pipes, env=env, text=True, errors="replace") as process:
        collecting = None
        for line in process.stdout:
            line = line.rstrip()
            tail.append(line)
            if found := re.match(r"Collecting (\S+)", line):
                collecting = found[1]
            if line.startswith(("Collecting", "Installing", "Successfully", "Building", "ERROR", "WARNING")):
                print("  " + line.split(" (from ")[0][:110], file=sys.stderr, flush=True)
    if process.returncode:
        text = "\n".join(tail)
        named = re.search(r"(?:No matching distribution found for|satisfies the requirement) (\S+)", text)
        package = named[1] if named else collecting
        at = f" at {package}" if package else ""
        raise Failed(f"{what} failed{at} (exit status {process.returncode}):\n{text}")


def install(venv: Path, key: str) -> None:
    if sys.version_info < (3, 11):
        raise Failed(f"they need Python 3.11 or later, {sys.executable} is {sys.version.split()[0]}; set PYTHON to another")
    print(f"installing the Python peers of the tests into {venv} (once, about 400 MB)", file=sys.stderr, flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(venv)], "`python -m venv` (is the package python3-venv installed?)")
    pip = [str(interpreter(venv)), "-m", "pip", "--no-input", "--disable-pip-version-check"]
    run([*pip, "install", "--progress-bar", "off", "--prefer-binary", "-r", str(REQUIREMENTS)], "pip install")
    run([*pip, "check"], "pip check")
    (venv / "key").write_text(key)


def interpreter(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if WINDOWS else "bin/python")


def main() -> int:
    peers = target_dir() / "peers"
    peers.mkdir(parents=True, exist_ok=True)
    venv = peers / "venv"
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    try:
        with locked(peers / "lock"):
            made = venv / "key"
            if not (made.exists() and made.read_text() == key and interpreter(venv).exists()):
                install(venv, key)
    except Failed as failed:
        print(f"error: a peer could not be installed: {failed}", file=sys.stderr)
        return 1
    print(interpreter(venv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
