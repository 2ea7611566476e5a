"""A PostgreSQL database for one run: on a server of its own, else on one that is running here."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import psycopg2
import psycopg2.extras

from demo.airflow_settings import LOOPBACK, free_port
from demo.child import Child
from tests.cluster.programs import find, install, listens, wait_until_it_answers

PORT = 5432
_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "300",
    # Nothing here has to survive a power cut.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class Postgres:
    """
    A new, empty database; use it in a ``with`` statement, after which it is gone.

    A server of its own is started where the machine has the programs. Otherwise one that listens on loopback at
    port 5432 is used, with the user and password of ``PGUSER`` (``postgres``) and ``PGPASSWORD``. Where there is
    neither, the programs are installed.

    :param log_path: file for the server's output.
    """

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self.database = f"segmind_{uuid.uuid4().hex[:12]}"
        self.port = PORT
        self.user, self._password = "postgres", ""
        self.server: Child | None = None
        """The server, if it is our own."""
        self._folder: Path | None = None
        self._created = False

    def __enter__(self) -> Self:
        try:
            initdb = find("initdb")
            if initdb is None and not listens(PORT):
                initdb = install("postgresql", "initdb")
            if initdb:
                self._start_server(initdb.parent)
            else:
                self.user = os.environ.get("PGUSER", "postgres")
                self._password = os.environ.get("PGPASSWORD", "")
            self._execute(f'CREATE DATABASE "{self.database}"')
            self._created = True
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.server:
            # It means "end now, in good order"; SIGTERM would wait for clients.
            self.server.kill(signal.SIGINT, everything=False)
            self.server.stop(grace=20)
        elif self._created:
            self._execute(f'DROP DATABASE "{self.database}" WITH (FORCE)')
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The database's URL for SQLAlchemy."""
        password = f":{self._password}" if self._password else ""
        return f"postgresql+psycopg2://{self.user}{password}@{LOOPBACK}:{self.port}/{self.database}"

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """
        Read from the database.

        :param sql: a SELECT with ``%s`` for values.
        :param parameters: the values.
        :returns: the rows, each by column name.
        """
        with closing(self._connect(self.database)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return [dict(row) for row in cursor.fetchall()]

    def _execute(self, sql: str) -> None:
        with closing(self._connect("postgres")) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(sql)

    def _connect(self, database: str) -> Any:
        return psycopg2.connect(
            host=LOOPBACK,
            port=self.port,
            user=self.user,
            password=self._password or None,
            dbname=database,
            connect_timeout=10,
            cursor_factory=psycopg2.extras.RealDictCursor,
        )

    def _start_server(self, programs: Path) -> None:
        # Not below pytest's folder, which only its owner can enter: PostgreSQL refuses to run as root.
        self._folder = Path(tempfile.mkdtemp(prefix="segmind-postgres-"))
        prefix: tuple[str, ...] = ()
        if os.geteuid() == 0:
            name = _unprivileged()
            shutil.chown(self._folder, name)
            prefix = ("setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--clear-groups")
        data = self._folder / "data"
        make = (*prefix, str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", self.user, "-E", "UTF8")
        made = subprocess.run([*make, "--no-sync"], cwd=self._folder, capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
        self.port = free_port()
        options = [word for name, value in _OPTIONS.items() for word in ("-c", f"{name}={value}")]
        command = (*prefix, str(programs / "postgres"), "-D", str(data), "-p", str(self.port), *options)
        self.server = Child("postgres", command, os.environ, self.log_path)
        self.server.start()
        wait_until_it_answers(self.server, lambda: self._connect("postgres").close(), psycopg2.OperationalError, 60.0)


def _unprivileged() -> str:
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise RuntimeError("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody.")
