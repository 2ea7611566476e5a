"""Redis for one run, as Celery's broker: a server of its own, else a database of one that is running here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

import redis

from demo.airflow_settings import LOOPBACK, free_port
from demo.child import Child
from tests.cluster.programs import find, install, listens, wait_until_it_answers

PORT = 6379


class Broker:
    """
    An empty Redis database; use it in a ``with`` statement, after which it is empty again or gone.

    :param log_path: file for the server's output.
    """

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self.port = PORT
        self.number = 0
        self.server: Child | None = None
        """The server, if it is our own."""

    def __enter__(self) -> Self:
        program = find("redis-server")
        if program is None and not listens(PORT):
            program = install("redis-server", "redis-server")
        if program:
            self._start_server(program)
        else:
            self.number = self._empty_database()
        return self

    def __exit__(self, *_: object) -> None:
        if self.server is not None:
            self.server.stop()
        elif self.number:
            self._client(self.number).flushdb()

    @property
    def url(self) -> str:
        """The URL for Celery."""
        return f"redis://{LOOPBACK}:{self.port}/{self.number}"

    def _client(self, number: int = 0) -> redis.Redis:
        return redis.Redis(host=LOOPBACK, port=self.port, db=number, socket_timeout=5)

    def _start_server(self, program: Path) -> None:
        self.port = free_port()
        options = {"port": str(self.port), "bind": LOOPBACK, "save": "", "appendonly": "no"}
        command = (str(program), *(word for name, value in options.items() for word in (f"--{name}", value)))
        self.server = Child("redis", command, os.environ, self.log_path)
        self.server.start()
        try:
            wait_until_it_answers(self.server, lambda: self._client().ping(), redis.ConnectionError, 30.0)
        except BaseException:
            self.server.stop()
            raise

    def _empty_database(self) -> int:
        # Never 0, which everybody uses.
        for number in range(15, 0, -1):
            if self._client(number).dbsize() == 0:
                return number
        raise RuntimeError(f"Redis at port {PORT} has no empty database among 1 to 15.")
