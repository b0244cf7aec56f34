"""A cluster of one's own on this machine: `grove up` as a child process, on free ports of loopback, its data in a temporary folder.

`embedded()` starts one when the first AnnoyIndex needs it and no GROVE_ENDPOINT is set; the whole process shares it, and so do
children that are forked. It ends when this process does, even when that is killed: between us and `grove up` stands a shell that
waits on a pipe from us, and what ends the pipe ends the cluster and removes its folder. If it is the cluster that ends (killed for its
memory, say), its indexes are lost, and who needs one next gets another.
"""
from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from typing import Any, Optional, Set

from .client import Client
from .errors import GroveError, Unavailable

START_SECONDS = 30.0
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.02
PORT_MIN, PORT_MAX = 20000, 32000  # below the ports that the system gives to outgoing connections
KEEPER = ('exec 3<&0; "$@" </dev/null 3<&- >"$0/up.log" 2>&1 & up=$!; (read -r _ <&3; kill -TERM $up) 2>/dev/null & reader=$!; '
          'wait $up; kill $reader 2>/dev/null; tail -c 500 "$0/up.log"; rm -rf "$0"')


def find_program() -> Optional[str]:
    """Path of `grove`: GROVE_PROGRAM, else the one in PATH; None: there is none."""
    return os.environ.get("GROVE_PROGRAM") or shutil.which("grove")


class LocalCluster:
    """A coordinator and workers as children of this process. Use as a context manager, or call stop().

    workers: 1 to 64. program: path of `grove`; None: GROVE_PROGRAM, else the one in PATH. endpoint: where it answers.
    """

    def __init__(self, workers: int = 1, program: Optional[str] = None) -> None:
        self.program = program or find_program()
        if self.program is None:
            raise Unavailable("no cluster and no program `grove`: set GROVE_ENDPOINT to a coordinator, or install grove, or name its "
                              "path in GROVE_PROGRAM")
        self.owner = os.getpid()
        self.stopped = False
        self.folder = tempfile.mkdtemp(prefix="grove-local-")
        port = _free_pair()
        self.endpoint = f"tcp://127.0.0.1:{port}"
        command = [self.program, "up", "--workers", str(workers), "--data", f"{self.folder}/data", "--port", str(port)]
        self.keeper = subprocess.Popen(["/bin/sh", "-c", KEEPER, self.folder, *command], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            self._wait_ready(workers)
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self, workers: int) -> None:
        client = Client(self.endpoint, timeout=1.0)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                if sum(w["state"] == "alive" for w in client.status()["workers"]) >= workers:
                    client.close()
                    return
            except GroveError:
                pass  # not yet
            if self.keeper.poll() is not None:
                raise Unavailable(f"the local cluster ended before it was ready: {self._log()}")
            if time.monotonic() > end:
                raise Unavailable(f"the local cluster was not ready within {START_SECONDS:g} s: {self._log()}")
            time.sleep(LOOK_SECONDS)

    def _log(self) -> str:
        """The end of what it said."""
        try:
            with open(f"{self.folder}/up.log", "rb") if self.keeper.poll() is None else self.keeper.stdout as f:  # type: ignore[union-attr]
                return f.read()[-500:].decode(errors="replace").strip() or "it said nothing"
        except OSError as e:
            return str(e)

    @property
    def running(self) -> bool:
        """False once it was stopped, or has died; a forked child does not notice the latter."""
        return not self.stopped and (os.getpid() != self.owner or self.keeper.poll() is None)

    def stop(self) -> None:
        """End it and remove its folder. Nothing in a process other than the one that started it."""
        if self.stopped or os.getpid() != self.owner:
            return
        self.stopped = True
        try:
            self.keeper.communicate(b"\n", timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.keeper.kill()
            self.keeper.wait()

    def __enter__(self) -> "LocalCluster":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


_lock = threading.Lock()
_embedded: Optional[LocalCluster] = None
_ended: Set[str] = set()  # endpoints of former ones


def embedded() -> LocalCluster:
    """This process's own cluster, started at the first call."""
    global _embedded
    with _lock:
        if _embedded is None or not _embedded.running:
            if _embedded is not None:
                _ended.add(_embedded.endpoint)
                atexit.unregister(_embedded.stop)
                _embedded.stop()
            _embedded = LocalCluster()
            atexit.register(_embedded.stop)
        return _embedded


def is_embedded(endpoint: str) -> bool:
    """Is that the endpoint of this process's own cluster, running or stopped?"""
    return _embedded is not None and _embedded.endpoint == endpoint


def has_ended(endpoint: str) -> bool:
    return endpoint in _ended or _embedded is not None and _embedded.endpoint == endpoint and not _embedded.running


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)


def _free_pair() -> int:
    """A port that is free together with the next one."""
    start = PORT_MIN + int.from_bytes(os.urandom(2), "little") % (PORT_MAX - PORT_MIN)
    for step in range(0, PORT_MAX - PORT_MIN, 2):
        port = PORT_MIN + (start - PORT_MIN + step) % (PORT_MAX - PORT_MIN)
        with socket.socket() as a, socket.socket() as b:
            try:
                a.bind(("127.0.0.1", port))
                b.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                continue
    raise Unavailable(f"no two free ports between {PORT_MIN} and {PORT_MAX}: set GROVE_ENDPOINT to a coordinator")
