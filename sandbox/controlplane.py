"""The command lines of the control plane; why each flag is there is said beside it."""

from __future__ import annotations

from collections.abc import Callable

from sandbox import nodes
from sandbox.ports import LOOPBACK
from sandbox.state import State

#: kube-apiserver takes the first address for the Service ``kubernetes``; certificates.py names it too.
SERVICE_NETWORK = "10.96.0.0/16"


def etcd(state: State) -> list[str]:
    """The store; only the API server's certificate is let in."""
    client = f"https://{LOOPBACK}:{state.ports['etcd']}"
    peer = f"https://{LOOPBACK}:{state.ports['etcd-peer']}"
    pki = state.path("pki")
    return [
        f"{state.toolchain}/bin/etcd",
        "--name=sandbox",
        f"--data-dir={state.path('etcd')}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=sandbox={peer}",
        f"--cert-file={pki}/etcd.crt",
        f"--key-file={pki}/etcd.key",
        f"--trusted-ca-file={pki}/ca.crt",
        "--client-cert-auth",
        f"--peer-cert-file={pki}/etcd.crt",
        f"--peer-key-file={pki}/etcd.key",
        f"--peer-trusted-ca-file={pki}/ca.crt",
        "--peer-client-cert-auth",
        "--unsafe-no-fsync",  # a sandbox's data need not survive a power cut; a slow disk would cost seconds
        "--log-level=warn",
    ]


def kube_apiserver(state: State) -> list[str]:
    """The API server."""
    pki = state.path("pki")
    return [
        f"{state.toolchain}/bin/kube-apiserver",
        f"--etcd-servers=https://{LOOPBACK}:{state.ports['etcd']}",
        f"--etcd-cafile={pki}/ca.crt",
        f"--etcd-certfile={pki}/etcd-client.crt",
        f"--etcd-keyfile={pki}/etcd-client.key",
        f"--bind-address={LOOPBACK}",
        # Else it looks for a default route, and a laptop without a network has none.
        f"--advertise-address={LOOPBACK}",
        # Endpoints may not be on loopback: without this it complains for ever.
        "--endpoint-reconciler-type=none",
        f"--secure-port={state.ports['kube-apiserver']}",
        f"--tls-cert-file={pki}/kube-apiserver.crt",
        f"--tls-private-key-file={pki}/kube-apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/sa.key",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        # exec, logs and port-forward go to kwok as to any kubelet.
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/kubelet-client.crt",
        f"--kubelet-client-key={pki}/kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged",
        "--profiling=false",
    ]


def kube_controller_manager(state: State) -> list[str]:
    """The controllers; it serves no port of its own."""
    pki = state.path("pki")
    return [
        f"{state.toolchain}/bin/kube-controller-manager",
        f"--kubeconfig={state.path('kube-controller-manager.kubeconfig')}",
        "--secure-port=0",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/sa.key",
        # The default of 20 requests a second makes a fresh cluster wait for its first accounts.
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--profiling=false",
    ]


def kube_scheduler(state: State) -> list[str]:
    """The scheduler; it serves no port of its own."""
    return [
        f"{state.toolchain}/bin/kube-scheduler",
        f"--kubeconfig={state.path('kube-scheduler.kubeconfig')}",
        "--secure-port=0",
        "--leader-elect=false",
        "--profiling=false",
        # A pod whose claim is bound in the very moment in which it was found unbound is looked at again after
        # five minutes otherwise: seen once in some fifty installs.
        "--pod-max-in-unschedulable-pods-duration=5s",
    ]


def kwok(state: State) -> list[str]:
    """The nodes and their kubelets."""
    pki = state.path("pki")
    return [
        f"{state.toolchain}/bin/kwok",
        f"--kubeconfig={state.path('kwok.kubeconfig')}",
        f"--config={state.path(nodes.file_name())}",
        "--manage-all-nodes",
        # Without leases every node turns NotReady after about 40 s.
        "--node-lease-duration-seconds=40",
        f"--node-ip={LOOPBACK}",
        f"--node-port={state.ports['kwok']}",
        f"--server-address={LOOPBACK}:{state.ports['kwok']}",
        f"--tls-cert-file={pki}/kwok.crt",
        f"--tls-private-key-file={pki}/kwok.key",
        "-v=WARN",  # else a line for each lease, every ten seconds
        # Forwards, exec and logs are objects that can be added while it runs; none may be in --config too.
        "--enable-crds=ClusterPortForward,PortForward,ClusterExec,Exec,ClusterLogs,Logs",
    ]


#: By part of :data:`sandbox.state.PARTS`: its command line, and the ports it binds.
CONTROL_PLANE: dict[str, tuple[Callable[[State], list[str]], tuple[str, ...]]] = {
    "etcd": (etcd, ("etcd", "etcd-peer")),
    "kube-apiserver": (kube_apiserver, ("kube-apiserver",)),
    "kube-controller-manager": (kube_controller_manager, ()),
    "kube-scheduler": (kube_scheduler, ()),
}
