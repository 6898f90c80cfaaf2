"""A pod's port on this machine: a loopback listener whose connections are carried through the API server.

Each connection gets a thread and a websocket of its own. The client library's own carrier drops what has
arrived but not been handed on when the pod closes first, as web servers do.
"""

import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from runbooks_lib.cluster import failures
from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.failures import Ask
from runbooks_lib.errors import RunbookError

#: Seconds that a connection is kept for the pod's last words after our side has said all it had to say.
LAST_WORDS = 1.0
#: Seconds in which either side has to take what it is given.
PATIENCE = 30.0
CHUNK = 64 * 1024
#: The first channel; what comes on the second went wrong.
DATA = 0


@contextmanager
def forward(connection: Connection, namespace: str, pod: str, port: int) -> Iterator[tuple[str, int]]:
    """Yield a loopback host and port that lead to a port of a pod; everything is closed at the end, or soon after.

    Raises:
        OutcomeUnknown: At the end, also in place of what it caused: the last connection could not be carried.
        CheckFailed: The same, because nothing listens there.
    """
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
    connection.json(Ask("get", path, "pods", pod, namespace))
    ask = Ask("create", f"{path}/portforward", "pods/portforward", pod, namespace, {"ports": str(port)})
    tunnel = _Tunnel(connection, ask)
    thread = threading.Thread(target=tunnel.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    try:
        yield tunnel.socket.getsockname()
    except Exception:
        if tunnel.problem is None:
            raise
    finally:
        tunnel.ended.set()
        tunnel.shutdown()
        tunnel.server_close()
        thread.join()
    if tunnel.problem is not None:
        raise tunnel.problem


def _readable(sockets: list[Any]) -> list[Any]:
    """Those of some sockets that have something to say, after a while; also where the process has a thousand files open."""
    with selectors.PollSelector() as selector:
        for each in sockets:
            selector.register(each, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(LAST_WORDS)]


class _Tunnel(socketserver.ThreadingTCPServer):
    """A listener whose connections lead to one port of a pod; ``problem`` says why the last one did not."""

    daemon_threads = True

    def __init__(self, connection: Connection, ask: Ask) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._connection, self._ask = connection, ask
        self.ended = threading.Event()
        self.problem: RunbookError | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (the server's own name)
        """Carry one connection, in its own thread."""
        import websocket

        server = self._connection.server
        try:
            remote = self._connection.websocket(self._ask)
        except websocket.WebSocketBadStatusException as error:
            body = error.resp_body if isinstance(error.resp_body, bytes) else b""
            self.problem = failures.refusal(server, self._ask, error.status_code, body)
            return
        except (websocket.WebSocketException, OSError) as error:
            self.problem = failures.unreachable(server, error)
            return
        for side in (request, remote):
            side.settimeout(PATIENCE)
        # A peer that goes away in the middle is the business of the two that talk.
        with suppress(OSError, websocket.WebSocketException), closing(remote.sock):
            self._carry(request, remote)

    def _carry(self, local: socket.socket, remote: Any) -> None:
        """Carry both ways until the pod's side has closed, our side has nothing to say, or the tunnel ends.

        What our side had said by then is still handed on: a database waits for ever for a goodbye that was dropped.
        """
        from websocket import ABNF

        greeted, answered = set(), False
        listening = [remote.sock, local]
        self.problem = None
        while local in listening or not self.ended.is_set():
            ended = self.ended.is_set()
            # What is decrypted already, the operating system does not announce.
            pending = getattr(remote.sock, "pending", int)()
            awaited = [local] if ended else listening
            readable = [remote.sock] if pending and not ended else _readable(awaited)
            if not readable and (ended or local not in listening):
                return
            if local in readable:
                if data := local.recv(CHUNK):
                    remote.send_binary(bytes([DATA]) + data)
                else:
                    listening.remove(local)
            if remote.sock in readable:
                code, frame = remote.recv_data_frame(control_frame=True)
                if code == ABNF.OPCODE_CLOSE:
                    return
                if code != ABNF.OPCODE_BINARY or not frame.data:
                    continue
                channel, data = frame.data[0], frame.data[1:]
                # The first frame of each channel repeats the port's number.
                if channel not in greeted:
                    greeted.add(channel)
                elif channel == DATA:
                    answered = True
                    local.sendall(data)
                else:
                    self.problem = None if answered else self._explained(data.decode(errors="replace"))
                    return

    def _explained(self, said: str) -> RunbookError:
        case = "not listening" if "refused" in said else "not forwarded"
        words = {"pod": self._ask.name, "namespace": self._ask.namespace, "port": self._ask.query["ports"]}
        return failures.told(case, **words, why=" ".join(said.split())[:300])
