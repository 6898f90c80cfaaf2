from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest
from scripted_api import Answer, ScriptedApi, status, thing

from runbooks_lib.cluster import Cluster, Forbidden, NotFound
from runbooks_lib.errors import UsageError

POD = "/api/v1/namespaces/ns/pods/a"
DENIED = 'pods "a" is forbidden: User "jane" cannot create resource "pods/portforward" in API group ""'


def _talk(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, timeout=5) as peer:
        peer.sendall(b"hello")
        return peer.recv(100)


def test_a_pod_that_does_not_exist_is_said_before_anything_listens(cluster: Cluster) -> None:
    with pytest.raises(NotFound, match="get pods/a in the namespace ns"), cluster.forward("ns", "a", 80):
        pytest.fail("it was opened")


@pytest.mark.parametrize("block_fails", [False, True])
def test_a_forward_that_is_not_allowed_is_said_at_its_end(
    api: ScriptedApi, cluster: Cluster, block_fails: bool
) -> None:
    api.script("GET", POD, Answer(body=thing("a")))
    api.script("GET", f"{POD}/portforward", status(403, DENIED))

    def use() -> None:
        with cluster.forward("ns", "a", 80) as address:
            # The listener accepts at once, and closes when the cluster says no.
            with suppress(ConnectionError):
                assert _talk(address) == b""
            if block_fails:
                raise ConnectionResetError("as a database client would")

    with pytest.raises(Forbidden) as caught:
        use()
    assert caught.value.summary == "jane may not create pods/a/portforward in the namespace ns."
    assert api.requests(f"{POD}/portforward")[0].query == {"ports": "80"}


def test_an_error_of_ours_in_the_block_is_not_replaced(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", POD, Answer(body=thing("a")))
    with pytest.raises(UsageError, match="ours"), cluster.forward("ns", "a", 80):
        raise UsageError("ours")


def test_nothing_listens_and_no_thread_is_left_afterwards(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", POD, Answer(body=thing("a")))
    before = set(threading.enumerate())
    with cluster.forward("ns", "a", 80) as address:
        pass
    assert [thread.name for thread in set(threading.enumerate()) - before if "serve" in thread.name] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
