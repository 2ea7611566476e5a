"""Programs of the machine: found, or installed where that is possible."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from demo.child import Child

_POSTGRES = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of PostgreSQL's server, outside PATH, one folder for each major version."""


def find(program: str) -> Path | None:
    """
    Look for a program.

    :param program: its name.
    :returns: where it is, the newest if there are several versions; ``None`` if it is not there.
    """
    if found := shutil.which(program):
        return Path(found)
    versions = sorted(_POSTGRES.glob(f"*/bin/{program}"), key=lambda path: float(path.parts[-3]))
    return versions[-1] if versions else None


def install(package: str, program: str) -> Path:
    """
    Install a package of Debian or Ubuntu without starting what it brings.

    :param package: the package.
    :param program: the program that is wanted from it.
    :returns: where the program is.
    :raises RuntimeError: this is not possible here; the message says what is missing.
    """
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        # In run level 1 Debian's packages start no service of theirs.
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run([apt, "update", "-q"], env=env, check=False)
        subprocess.run([apt, "install", "-q", "-y", "--no-install-recommends", package], env=env, check=False)
        if found := find(program):
            return found
    raise RuntimeError(f"{program} is needed and not here. Install it (Debian's package is {package}) and try again.")


def wait_until_it_answers(server: Child, ask: Callable[[], object], not_yet: type[Exception], timeout: float) -> None:
    """
    Ask a server that has just been started until it answers.

    :param ask: asks it something.
    :param not_yet: what that raises as long as it is not ready; raised after ``timeout`` seconds.
    :raises ChildDiedError: it died.
    """
    deadline = time.monotonic() + timeout
    while True:
        server.check()
        try:
            ask()
        except not_yet:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether something accepts connections at a port."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
