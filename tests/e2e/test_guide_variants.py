"""What the guide has besides its plain install: images from mainland China, and HTTPS at the gateway."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from releases import change
from runs import Open
from servers import Certificates

from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Report
from runbooks_lib.stages import install, prerequisites

pytestmark = pytest.mark.xdist_group("variants")

CHINA = "opencsg-registry.cn-beijing.cr.aliyuncs.com"


def said(report: Report, ident: str) -> tuple[str, str]:
    return next((found.status, found.observed) for found in report.findings if found.id == ident)


def test_for_mainland_china_every_image_of_the_plan_comes_from_the_guides_registries(opened: Open) -> None:
    run = opened("install", mirror="mainland-china")
    status, observed = said(prerequisites.look(run), "images.mirror")
    assert status == "pass", observed
    details = [line for one in install.plan(run).changes for line in one.detail]
    images = {line.split(": ", 1)[1] for line in details if line.startswith("image ")}
    assert images
    assert {image.partition("/")[0] for image in images} == {CHINA}
    # The guide's second value: the images of Envoy Gateway are below a path of their own.
    assert any(image.startswith(f"{CHINA}/opencsghq/envoyproxy/") for image in images), images


def test_with_tls_the_gateway_has_an_https_listener_with_the_secret_and_what_is_wrong_with_it_is_said(
    opened: Open, cluster: Cluster, target: dict[str, str], tmp_path: Path
) -> None:
    namespace = target["target.namespace"]
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    made = Certificates(tmp_path)

    def certificate(host: str, days: int) -> None:
        key, crt = (part.decode() for part in made.pair(host, lasts=timedelta(days=days)))
        cluster.delete("v1", "Secret", "csghub-tls", namespace)
        body = {"type": "kubernetes.io/tls", "stringData": {"tls.key": key, "tls.crt": crt}}
        meta = {"name": "csghub-tls", "namespace": namespace}
        cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, **body})

    how = {"gateway__tls": {"enabled": True, "secret_name": "csghub-tls"}}
    for host, days, status, words in (
        ("other.example.com", 90, "fail", "its certificate is for other.example.com, not for "),
        ("*.example.com", -1, "fail", "has expired on "),
        ("*.example.com", 10, "warn", "days more only"),
        ("*.example.com", 90, "pass", "valid for 89 days more"),
    ):
        certificate(host, days)
        told = said(prerequisites.look(opened("prerequisites", **how)), "tls.secret")
        assert (told[0], words in told[1]) == (status, True), told
    run = opened("install", **how)
    run.require(install.look(run))
    change(run, install)
    assert not install.confirm(run).with_status("fail", "unknown")
    (gateway,) = cluster.list("gateway.networking.k8s.io/v1", "Gateway", namespace)
    (listener,) = [each for each in gateway["spec"]["listeners"] if each["protocol"] == "HTTPS"]
    assert listener["tls"]["certificateRefs"][0]["name"] == "csghub-tls"
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or file.suffix == ".pem" or "BEGIN PRIVATE KEY" not in file.read_text(), file
