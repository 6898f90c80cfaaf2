"""A pod's port on this machine: a loopback listener whose connections are carried through the API server.

Each connection gets a websocket of its own, and one thread that carries both directions. The client library's
own carrier drops what has arrived but not been handed on when the pod closes first, as web servers do.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from runbooks_lib.cluster import failures, refusals
from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.failures import Ask
from runbooks_lib.errors import OutcomeUnknown, RunbookError

#: Seconds that a connection is kept for the pod's last words after our side has said all it had to say.
LAST_WORDS = 1.0
CHUNK = 64 * 1024
DATA, ERROR = 0, 1


@contextmanager
def forward(connection: Connection, namespace: str, pod: str, port: int) -> Iterator[tuple[str, int]]:
    """Yield a loopback host and port that lead to a port of a pod; everything is closed at the end.

    Raises:
        NotFound: There is no such pod.
        OutcomeUnknown: At the end: the last connection could not be carried, and why. Also in place of the
            exception that the failing connection caused in the block.
    """
    connection.json(
        Ask(
            "get",
            f"/api/v1/namespaces/{namespace}/pods/{pod}",
            resource="pods",
            name=pod,
            namespace=namespace,
        )
    )
    tunnel = _Tunnel(connection, namespace, pod, port)
    try:
        yield tunnel.address
    except RunbookError:
        raise
    except Exception as error:
        if tunnel.problem is not None:
            raise tunnel.problem from error
        raise
    finally:
        tunnel.close()
    if tunnel.problem is not None:
        raise tunnel.problem


class _Tunnel:
    """A listener, and the connections it has accepted.

    Attributes:
        address: Where it listens.
        problem: Why the last connection could not be carried, if it could not.
    """

    def __init__(self, connection: Connection, namespace: str, pod: str, port: int) -> None:
        self._connection = connection
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
        self._ask = Ask("create", path, resource="pods/portforward", name=pod, namespace=namespace)
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Closing one end makes the other readable: every thread that waits wakes up at once.
        self._end, self._ended = socket.socketpair()
        self._threads: list[threading.Thread] = []
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self.problem: RunbookError | None = None
        self._start(self._accept)

    def close(self) -> None:
        """Close the listener and every connection."""
        self._end.close()
        for thread in self._threads:
            # A thread that still opens its websocket can't be woken; it ends by itself, and alone.
            thread.join(timeout=LAST_WORDS)
        self._listener.close()
        self._ended.close()

    def _start(self, work: Any, *args: Any) -> None:
        thread = threading.Thread(
            target=work, args=args, name=f"forward {self._ask.name}:{self._port}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._ended], [], [])
            if self._ended in ready:
                return
            with suppress(OSError):
                local, _ = self._listener.accept()
                self._start(self._serve, local)

    def _serve(self, local: socket.socket) -> None:
        import websocket

        with local:
            try:
                remote = self._connection.websocket(self._ask.path, {"ports": str(self._port)})
            except websocket.WebSocketBadStatusException as error:
                body = error.resp_body if isinstance(error.resp_body, bytes) else b""
                self.problem = refusals.refusal(self._connection.server, self._ask, error.status_code, body)
                return
            except (websocket.WebSocketException, OSError) as error:
                self.problem = failures.unreachable(self._connection.server, error)
                return
            carrier = _Carrier(local, remote, self._ended)
            try:
                # A peer that goes away in the middle is the business of the two that talk.
                with suppress(OSError, websocket.WebSocketException):
                    carrier.carry()
            finally:
                remote.close()
            self.problem = self._explain(carrier)

    def _explain(self, carrier: _Carrier) -> RunbookError | None:
        """A sentence for what the pod's side said went wrong, unless it answered before."""
        if not carrier.said or carrier.answered:
            return None
        refused = "refused" in carrier.said
        why = (
            f"nothing listens on port {self._port} there" if refused else " ".join(carrier.said.split())[:300]
        )
        return OutcomeUnknown(
            f"The pod {self._ask.name} in the namespace {self._ask.namespace} can't be reached through the cluster: "
            f"{why}.",
            next_step="Look at the pod's state and its containers' logs: 06_diagnose.",
        )


class _Carrier:
    """Carries bytes between a local connection and a websocket of two channels: data, and the pod's error.

    Attributes:
        answered: Whether the pod has sent anything.
        said: What the error channel said.
    """

    def __init__(self, local: socket.socket, remote: Any, ended: socket.socket) -> None:
        self._local = local
        self._remote = remote
        self._ended = ended
        self._to_local = b""
        self._to_remote = b""
        self._local_open = True
        self._remote_open = True
        self._greeted: set[int] = set()
        self.answered = False
        self.said = ""

    def carry(self) -> None:
        """Carry until both sides have closed, or the tunnel ends."""
        while (self._remote_open and not self.said) or self._to_local:
            readable, writable = self._wait()
            if self._ended in readable:
                return
            if not readable and not writable:
                return
            if self._local in readable:
                self._read_local()
            if self._remote.sock in readable:
                self._read_remote()
            if self._local in writable and self._to_local:
                sent = self._local.send(self._to_local)
                self._to_local = self._to_local[sent:]
            if self._remote.sock in writable and self._to_remote:
                sent = self._remote.sock.send(self._to_remote[:CHUNK])
                self._to_remote = self._to_remote[sent:]

    def _wait(self) -> tuple[list[Any], list[Any]]:
        remote = self._remote.sock
        reading: list[Any] = [self._ended]
        # Only as much is taken from one side as the other has taken over.
        if self._local_open and self._remote_open and len(self._to_remote) < CHUNK:
            reading.append(self._local)
        if self._remote_open and len(self._to_local) < CHUNK:
            reading.append(remote)
        writing = [self._local] if self._to_local else []
        if self._to_remote and self._remote_open:
            writing.append(remote)
        if remote in reading and isinstance(remote, ssl.SSLSocket) and remote.pending():
            # Already decrypted, so the operating system has nothing more to announce.
            return [remote], []
        patience = None if self._local_open else LAST_WORDS
        readable, writable, _ = select.select(reading, writing, [], patience)
        return readable, writable

    def _read_local(self) -> None:
        from websocket import ABNF

        data = self._local.recv(CHUNK)
        if data:
            self._to_remote += ABNF.create_frame(bytes([DATA]) + data, ABNF.OPCODE_BINARY).format()
        else:
            self._local_open = False

    def _read_remote(self) -> None:
        from websocket import ABNF, WebSocketConnectionClosedException

        try:
            code, frame = self._remote.recv_data_frame(control_frame=True)
        except WebSocketConnectionClosedException:
            self._remote_open = False
            return
        if code == ABNF.OPCODE_CLOSE:
            self._remote_open = False
        elif code == ABNF.OPCODE_BINARY and frame.data:
            channel, data = frame.data[0], frame.data[1:]
            # The first frame of each channel repeats the port's number.
            if channel not in self._greeted:
                self._greeted.add(channel)
            elif channel == DATA:
                self._to_local += data
                self.answered = self.answered or bool(data)
            elif channel == ERROR:
                self.said += data.decode("utf-8", errors="replace")
