"""Whether the nodes can get the images: each question with the answers it can have, asked of a real registry."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from registry_server import USER, Registry, serving

from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.pull_secrets import fits, login_for, logins_of
from runbooks_lib.cluster.failures import Forbidden
from runbooks_lib.probes.registry import HUB, Image, parse
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Finding, Json

ROOT = Path(__file__).parents[3]
MIRROR = "opencsg-registry.cn-beijing.cr.aliyuncs.com"
CONFIG = "kubernetes.io/dockerconfigjson"


def finding(world: Any, ident: str) -> Finding:
    chosen = [check for check in FAMILIES["prerequisites"] if check.id == ident]
    (made,) = report("prerequisites", "P", chosen, Subject(world.boundaries), observe=world.told.append).findings
    return made


def pod(*images: str, secrets: tuple[str, ...] = (), init: tuple[str, ...] = ()) -> Json:
    spec: Json = {"containers": [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]}
    if init:
        spec["initContainers"] = [{"name": f"i{number}", "image": image} for number, image in enumerate(init)]
    if secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    return spec


def deployment(name: str, spec: Json) -> str:
    kind = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    return yaml.safe_dump(kind | {"spec": {"template": {"spec": spec}}})


def other(kind: str, name: str, **content: Any) -> str:
    return yaml.safe_dump({"apiVersion": "x/v1", "kind": kind, "metadata": {"name": name}, **content})


def node(architecture: str = "amd64") -> Json:
    info = {"operatingSystem": "linux", "architecture": architecture}
    return {"kind": "Node", "metadata": {"name": f"n-{architecture}"}, "status": {"nodeInfo": info}}


def pull_secret(name: str, auths: Any, *, kind: str = CONFIG, namespace: str = "csghub") -> Json:
    content = {"auths": auths} if kind == CONFIG else auths
    data = {".dockerconfigjson" if kind == CONFIG else ".dockercfg": base64.b64encode(json.dumps(content).encode())}
    metadata = {"name": name, "namespace": namespace}
    return {
        "kind": "Secret",
        "type": kind,
        "metadata": metadata,
        "data": {key: one.decode() for key, one in data.items()},
    }


def auth(user: str, password: str) -> Json:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving() as made:
        yield made


# ---- the mirror


@pytest.fixture
def mirrored(world: Any) -> Any:
    """A target with a mirror, whose chart is the rehearsal chart; the tests say what it renders."""

    def renders(*documents: str, hooks: tuple[str, ...] = (), **images: str) -> Any:
        world.renders("---\n".join(documents), hooks=[{"manifest": hook} for hook in hooks])
        world.settings |= {"mirror": "mainland-china", "chart": {"path": str(ROOT / "sandbox" / "charts" / "dataflow")}}
        world.settings["images"] = images
        return world

    return renders


def test_without_a_mirror_images_may_come_from_anywhere(world: Any) -> None:
    world.renders(deployment("d", pod("redis:7")))
    answer = finding(world, "images.mirror")
    assert (answer.status, answer.observed) == ("skip", "the parameters set no mirror")


def test_images_of_the_mirror_are_counted_once_each(mirrored: Any) -> None:
    world = mirrored(
        deployment("d", pod(f"{MIRROR}/opencsghq/redis:7", init=(f"{MIRROR}/opencsghq/redis:7",))),
        other("CronJob", "c", spec={"jobTemplate": {"spec": {"template": {"spec": pod(f"{MIRROR}/a:1")}}}}),
    )
    answer = finding(world, "images.mirror")
    assert (answer.status, answer.observed) == ("pass", f"2 images, all from {MIRROR}")


def test_an_own_registry_is_not_the_mirrors_and_the_key_that_names_it_is_told(mirrored: Any) -> None:
    images = {"registry": "own.example.com/all", "envoy_registry": "docker.io/envoyproxy"}
    world = mirrored(deployment("d", pod("own.example.com/all/a:1", "docker.io/envoyproxy/b:1")), **images)
    answer = finding(world, "images.mirror")
    assert (answer.status, answer.amiss) == ("fail", 0)
    assert answer.observed.endswith(f"docker.io/envoyproxy/b:1 of Deployment d (c1) does not come from {MIRROR}")
    told = finding(world, "stores.contradictions")
    assert (told.status, told.observed.splitlines()) == (
        "warn",
        [
            'images.registry is "own.example.com/all", though mirror is "mainland-china": the former wins',
            'images.envoy_registry is "docker.io/envoyproxy", though mirror is "mainland-china": the former wins',
        ],
    )


@pytest.mark.parametrize(
    ("image", "line"),
    [
        ("docker.io/redis:7.2.5", f"Write in the parameters: redis.image.registry: {MIRROR}"),
        ("docker.io/opencsghq/label-studio:v1", f"Write in the parameters: label_studio.image.registry: {MIRROR}"),
        ("opencsghq/stakater-reloader:v1.4.2", f"Write in the parameters: values.reloader.image.registry: {MIRROR}"),
        ("docker.io/envoyproxy/gateway:v1", f"Write in the parameters: values.envoy.image.registry: {MIRROR}"),
        ("busybox", "No value of the chart names the repository of busybox: look for it with `helm show values`."),
        ("<no value>", "No value of the chart names the repository of <no value>: look for it with"),
    ],
)
def test_an_image_from_elsewhere_fails_with_the_line_that_moves_it(mirrored: Any, image: str, line: str) -> None:
    answer = finding(mirrored(deployment("d", pod(image))), "images.mirror")
    assert (answer.status, answer.observed) == ("fail", f"{image} of Deployment d (c0) does not come from {MIRROR}")
    assert answer.remedy.startswith(line)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ({"tool": {"repository": "quay.io/team/tool"}}, f"tool.repository: {MIRROR}/team/tool"),
        ({"tool": "quay.io/team/tool:1", "page": "quay.io"}, f"tool: {MIRROR}/team/tool:1"),
        ({"a": {"repository": "tool"}, "b": {"repository": "team/tool"}}, f"b.registry: {MIRROR}"),
    ],
)
def test_a_value_that_holds_the_registry_too_gets_it_all_anew(mirrored: Any, written: Json, line: str) -> None:
    world = mirrored(deployment("d", pod("quay.io/team/tool:1")))
    world.settings["values"] = {"extra": written}
    assert finding(world, "images.mirror").remedy == f"Write in the parameters: values.extra.{line}"


def test_a_value_that_has_nothing_to_do_with_an_image_is_not_to_be_taken_out(mirrored: Any) -> None:
    world = mirrored(deployment("d", pod("busybox", "docker.io/redis:7.2.5")))
    world.settings["values"] = {"extra": {"registry": "docker.io"}}
    lines = finding(world, "images.mirror").remedy.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["No", "Write"]


def test_init_containers_and_hooks_count_and_each_image_is_one_line(mirrored: Any) -> None:
    inside = f"{MIRROR}/opencsghq/a:1"
    job = other("Job", "h", spec={"template": {"spec": pod("docker.io/redis:7")}})
    others = [deployment(f"d{number}", pod(inside, init=("docker.io/redis:7",))) for number in range(3)]
    answer = finding(mirrored(*others, hooks=(job,)), "images.mirror")
    where = "Deployment d0 (i0), Deployment d1 (i0), Deployment d2 (i0) and 1 more"
    assert answer.observed == f"docker.io/redis:7 of {where} does not come from {MIRROR}"
    only = finding(mirrored(deployment("d", pod(inside)), hooks=(job,)), "images.mirror")
    assert (only.status, "Job h (c0)" in only.observed) == ("fail", True)


@pytest.mark.parametrize(
    "document",
    [
        other("ConfigMap", "c", data={"envoy.yaml": "a:\n  - image: docker.io/envoyproxy/gateway:v1\nb: {{ x }}: y\n"}),
        other("EnvoyProxy", "c", spec={"provider": {"container": {"image": "docker.io/envoyproxy/gateway:v1"}}}),
    ],
)
def test_images_that_a_controller_is_told_of_are_a_warning(mirrored: Any, document: str) -> None:
    answer = finding(mirrored(deployment("d", pod(f"{MIRROR}/a:1")), document), "images.mirror")
    assert answer.status == "warn"
    assert answer.observed.startswith("docker.io/envoyproxy/gateway:v1, with which ")
    assert "values.envoy.image.registry" in answer.remedy


def test_what_only_looks_like_an_image_is_none(mirrored: Any) -> None:
    told = {"page.yaml": "image: logo.png\n", "x.yaml": "image: team/logo\n", "y.txt": "image: docker.io/a:1\n"}
    world = mirrored(deployment("d", pod(f"{MIRROR}/a:1")), other("ConfigMap", "c", data=told))
    assert finding(world, "images.mirror").status == "pass"


# ---- what is at the registries


def test_images_that_are_there_for_every_node(world: Any, registry: Registry) -> None:
    registry.index("team/app", "v1", "linux/amd64", "linux/arm64")
    registry.single("team/tool", "v1", "linux/amd64")
    world.cluster.add(node())
    world.renders(deployment("d", pod(f"{registry.host}/team/app:v1", init=(f"{registry.host}/team/tool:v1",))))
    answer = finding(world, "images.found")
    assert (answer.status, answer.observed) == ("pass", f"2 images at {registry.host}, all of them for linux/amd64")


def test_a_chart_without_images_is_asked_nothing(world: Any) -> None:
    world.renders(other("ConfigMap", "c"))
    answer = finding(world, "images.found")
    assert (answer.status, answer.observed) == ("skip", "the chart runs no image")


@pytest.mark.parametrize(
    ("nodes", "status", "said"),
    [
        (["arm64"], "fail", "is for linux/amd64, the nodes are linux/arm64"),
        (["amd64", "arm64"], "warn", "is for linux/amd64, some nodes are linux/arm64"),
        ([], "warn", "are not compared: the cluster has no nodes"),
        ([Forbidden("It may not list nodes.")], "warn", "are not compared: It may not list nodes."),
    ],
)
def test_an_image_is_for_the_nodes_platforms(
    world: Any, registry: Registry, nodes: list[Any], status: str, said: str
) -> None:
    registry.single("team/app", "v1", "linux/amd64")
    if nodes and isinstance(nodes[0], Exception):
        world.cluster.lists["Node"] = nodes.pop()
    world.cluster.add(*map(node, nodes))
    world.renders(deployment("d", pod(f"{registry.host}/team/app:v1")))
    answer = finding(world, "images.found")
    assert answer.status == status
    assert said in answer.observed


def test_an_image_that_names_no_platform_is_a_warning(world: Any, registry: Registry) -> None:
    registry.single("team/app", "v1", "")
    world.cluster.add(node())
    world.renders(deployment("d", pod(f"{registry.host}/team/app:v1")))
    answer = finding(world, "images.found")
    assert answer.status == "warn"
    assert f"{registry.host}/team/app:v1 of Deployment d (c0) is there; for which" in answer.observed


@pytest.mark.parametrize(
    ("answered", "status", "said", "remedy"),
    [
        (404, "fail", "HOST/team/app:v1 of Deployment d (c0) is not there: HOST answered 404", "images.tag"),
        (403, "fail", "HOST does not give HOST/team/app:v1 of Deployment d (c0)", "images.pull_secrets"),
        (
            429,
            "unknown",
            "HOST takes no more questions for now (429, asked from here, not from a node)",
            "Try again later",
        ),
        (
            500,
            "unknown",
            "what HOST says of HOST/team/app:v1 of Deployment d (c0) is not understood",
            "waive images.found",
        ),
    ],
)
def test_an_image_that_is_not_to_be_had(
    world: Any, registry: Registry, answered: int, status: str, said: str, remedy: str
) -> None:
    registry.answers["/v2/team/app/manifests/v1"] = answered
    world.cluster.add(node())
    world.renders(deployment("d", pod(f"{registry.host}/team/app:v1")))
    answer = finding(world, "images.found")
    assert answer.status == status
    assert answer.observed.startswith(said.replace("HOST", registry.host))
    assert remedy in answer.remedy


def test_a_registry_that_does_not_answer_is_one_line_and_the_others_are_told_too(
    world: Any, registry: Registry
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = f"127.0.0.1:{server.getsockname()[1]}"
    world.cluster.add(node())
    world.renders(deployment("d", pod(f"{gone}/a:1", f"{gone}/b:1")))
    answer = finding(world, "images.found")
    assert answer.status == "unknown"
    assert (
        answer.observed
        == f"{gone} does not answer, so 2 of its images are not looked for: connection refused (asked from here, not from a node)"
    )
    assert f"`crictl pull {gone}/a:1`" in answer.remedy
    assert f"--image {gone}/a:1" in answer.remedy
    world.renders(deployment("d", pod(f"{gone}/a:1", f"{registry.host}/gone:1")))
    worse = finding(world, "images.found")
    assert worse.status == "fail"
    assert [line.partition(" ")[0] for line in worse.observed.splitlines()] == [f"{registry.host}/gone:1", gone]
    assert "crictl" not in worse.remedy


def test_an_image_that_is_none_fails_without_a_question(world: Any) -> None:
    world.cluster.add(node())
    world.renders(deployment("d", pod("<no value>")))
    answer = finding(world, "images.found")
    assert (answer.status, answer.observed) == ("fail", "'<no value>' of Deployment d (c0) is no image's name")


def test_the_pods_own_secret_opens_a_private_registry(world: Any, registry: Registry) -> None:
    registry.login, registry.public = "Bearer", False
    registry.single("team/app", "v1", "linux/amd64")
    world.cluster.add(node(), pull_secret("pull", {registry.host: auth(USER, registry.password)}))
    world.renders(deployment("d", pod(f"{registry.host}/team/app:v1", secrets=("pull",))))
    assert finding(world, "images.found").status == "pass"
    world.renders(deployment("d", pod(f"{registry.host}/team/app:v1")))
    refused = finding(world, "images.found")
    assert refused.status == "fail"
    assert f"a login for {registry.host} in images.pull_secrets" in refused.remedy
    world.renders(deployment("d", pod(f"{registry.host}/team/app:v1", secrets=("gone", "odd"))))
    world.cluster.add(pull_secret("odd", {registry.host: {}}))
    assert finding(world, "images.found").status == "fail"


# ---- pull secrets

AT = "r.example.com"
NAMESPACE = {"kind": "Namespace", "metadata": {"name": "csghub"}}


@pytest.mark.parametrize(
    ("secrets", "status", "observed"),
    [
        ([pull_secret("pull", {AT: auth("u", "hunter2-1")})], "pass", "has a login for r.example.com"),
        (
            [pull_secret("pull", {AT: {"username": "u", "password": "hunter2-1"}})],
            "pass",
            "has a login for r.example.com",
        ),
        (
            [pull_secret("pull", {AT: auth("u", "hunter2-1")}, kind="kubernetes.io/dockercfg")],
            "pass",
            "has a login for",
        ),
        ([], "fail", "Secret pull is not in namespace csghub"),
        ([pull_secret("pull", {AT: auth("u", "hunter2-1")}, namespace="other")], "fail", "is not in namespace csghub"),
        (
            [pull_secret("pull", {AT: auth("u", "hunter2-1")}, kind="Opaque")],
            "fail",
            f"is of type Opaque, not {CONFIG}",
        ),
        ([pull_secret("pull", "hunter2-1")], "fail", "holds no logins in .dockerconfigjson"),
        ([pull_secret("pull", {AT: {"auth": "!"}})], "fail", "has an entry without user and password: r.example.com"),
        ([pull_secret("pull", {AT: {"auth": "hunter2="}})], "fail", "has an entry without user and password: r."),
        ([pull_secret("pull", {AT: "hunter2-1"})], "fail", "has an entry without user and password: r.example.com"),
    ],
)
def test_a_secret_is_there_and_has_a_login_for_the_images(
    world: Any, secrets: list[Json], status: str, observed: str
) -> None:
    world.cluster.add(NAMESPACE, *secrets)
    world.renders(deployment("d", pod(f"{AT}/a:1", secrets=("pull",))))
    answer = finding(world, "images.pull-secrets")
    assert answer.status == status
    assert observed in answer.observed
    assert "hunter2" not in answer.model_dump_json()
    assert "kubectl create secret docker-registry" in answer.remedy


def test_pods_without_a_secret_are_asked_nothing(world: Any) -> None:
    world.renders(deployment("d", pod("redis")))
    answer = finding(world, "images.pull-secrets")
    assert (answer.status, answer.observed) == ("skip", "the chart's pods name no pull secret")


def test_before_the_namespace_is_there_both_are_to_be_made(world: Any) -> None:
    world.renders(deployment("d", pod(f"{AT}/a:1", secrets=("pull",))))
    answer = finding(world, "images.pull-secrets")
    assert (answer.status, answer.observed) == ("fail", "Secret pull is not there, nor is its namespace csghub")
    assert answer.remedy.startswith(
        "`kubectl create namespace csghub`, then `kubectl create secret docker-registry pull "
    )
    assert answer.remedy.endswith(" --namespace csghub`.")


def test_a_secret_that_the_chart_brings_is_there(world: Any) -> None:
    brought = pull_secret("pull", {AT: auth("u", "hunter2-1")}) | {"apiVersion": "v1"}
    world.renders(f"{deployment('d', pod(f'{AT}/a:1', secrets=('pull',)))}---\n{yaml.safe_dump(brought)}")
    assert finding(world, "images.pull-secrets").status == "pass"


@pytest.mark.parametrize("holds", [{}, {"x.example.com": auth("u", "hunter2-1")}])
@pytest.mark.parametrize(
    ("public", "answered", "status", "said"),
    [
        (True, 0, "warn", ", who pull from it without one, as anybody may"),
        (True, 404, "warn", ", who pull from it without one, as anybody may"),
        (True, 500, "warn", "; whether it gives HOST/team/app:v1 without one is not known"),
        (False, 0, "fail", ", and it does not give HOST/team/app:v1 without one"),
    ],
)
def test_a_secret_that_is_for_no_registry_fails_only_where_one_wants_a_login(
    world: Any, registry: Registry, holds: Json, public: bool, answered: int, status: str, said: str
) -> None:
    registry.login, registry.public = "Bearer", public
    registry.single("team/app", "v1", "linux/amd64")
    if answered:
        registry.answers["/v2/team/app/manifests/v1"] = answered
    world.cluster.add(NAMESPACE, pull_secret("pull", holds))
    world.renders(deployment("d", pod(f"{registry.host}/team/app:v1", secrets=("pull",))))
    answer = finding(world, "images.pull-secrets")
    assert answer.status == status
    told = sorted(answer.observed.splitlines(), reverse=True)
    assert told[0] == f"no Secret has a login for {registry.host} of Deployment d{said.replace('HOST', registry.host)}"
    has = next(iter(holds), "nothing")
    assert told[1] == f"Secret pull in namespace csghub has a login for {has}, not for {registry.host} of Deployment d"
    remedy = (
        "kubectl create secret docker-registry" if status == "fail" else "Nothing, where that registry lets anybody"
    )
    assert remedy in answer.remedy


def test_a_registry_without_a_login_beside_one_that_has_it_is_a_warning(world: Any, registry: Registry) -> None:
    registry.single("team/app", "v1", "linux/amd64")
    world.cluster.add(NAMESPACE, pull_secret("pull", {f"{registry.host}/other": auth("u", "hunter2-1")}))
    others, open_to_all = (f"{registry.host}/{name}" for name in ("other/a:1", "team/app:v1"))
    world.renders(
        f"{deployment('d', pod(others, secrets=('pull',)))}---\n{deployment('e', pod(open_to_all, secrets=('pull',)))}"
    )
    answer = finding(world, "images.pull-secrets")
    assert (answer.status, answer.observed.splitlines()[0]) == (
        "warn",
        f"no Secret has a login for {registry.host} of Deployment e, who pull from it without one, as anybody may",
    )


def test_a_registry_is_asked_once_for_both_questions(world: Any, registry: Registry) -> None:
    registry.single("team/app", "v1", "linux/amd64")
    world.cluster.add(NAMESPACE, node(), pull_secret("pull", {}))
    world.renders(deployment("d", pod(f"{registry.host}/team/app:v1", secrets=("pull",))))
    chosen = [check for check in FAMILIES["prerequisites"] if check.id in {"images.found", "images.pull-secrets"}]
    report("prerequisites", "P", chosen, Subject(world.boundaries), observe=world.told.append)
    assert registry.paths().count("/v2/team/app/manifests/v1") == 1


def test_every_value_of_a_secret_is_known_to_the_redactor_also_where_it_is_odd(world: Any) -> None:
    entries = {
        AT: auth("u", "hunter2-1") | {"identitytoken": "hunter2-2"},
        "x": {"username": "u", "password": "hunter2-3"},
    }
    world.cluster.add(pull_secret("pull", entries | {"odd": {"registrytoken": "hunter2-4"}}))
    world.renders(deployment("d", pod(f"{AT}/a:1", secrets=("pull",))))
    assert finding(world, "images.pull-secrets").status == "fail"
    for value in ("hunter2-1", "hunter2-2", "hunter2-3", "hunter2-4", auth("u", "hunter2-1")["auth"]):
        assert world.redactor.redact(f"it is {value}.") == "it is «redacted:pull#.dockerconfigjson»."


@pytest.mark.parametrize(
    ("name", "image", "fit"),
    [
        ("r.example.com", "r.example.com/a", True),
        ("https://r.example.com", "r.example.com/a", True),
        ("https://r.example.com/v2/", "r.example.com/a", True),
        ("r.example.com/team", "r.example.com/team/a", True),
        ("r.example.com/team", "r.example.com/teams/a", False),
        ("*.example.com", "r.example.com/a", True),
        ("*.example.com", "a.r.example.com/a", False),
        ("*", "r.example.com/a", False),
        ("r.example.com:5000", "r.example.com/a", False),
        ("r.example.com:5000", "r.example.com:5000/a", True),
        ("https://index.docker.io/v1/", "redis", True),
        ("index.docker.io", "docker.io/a/b", True),
        ("docker.io", "redis", True),
        ("https://index.docker.io/v1/", "r.example.com/a", False),
        ("", "redis", False),
    ],
)
def test_an_entry_is_for_an_image_as_the_kubelet_takes_it(name: str, image: str, fit: bool) -> None:
    assert fits(name, parse(image)) is fit


def test_of_several_entries_the_longest_path_wins_and_of_several_secrets_the_first() -> None:
    first = {"r.example.com": ("a", "1"), "r.example.com/team": ("b", "2")}
    image = parse("r.example.com/team/app")
    assert login_for(image, [{}, first, {"r.example.com/team": ("c", "3")}]) == ("b", "2")
    assert login_for(parse("r.example.com/x"), [first]) == ("a", "1")
    assert login_for(parse("redis"), [first]) is None


WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=1, max_size=20)


@given(WORDS.filter(lambda user: ":" not in user), WORDS)
def test_a_login_is_read_as_docker_writes_it(user: str, password: str) -> None:
    assert logins_of(pull_secret("s", {AT: auth(user, password)}), Redactor()) == {AT: (user, password)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@example([[None, None]])
@given(JSON | st.dictionaries(st.text(max_size=8), st.fixed_dictionaries({"auth": JSON}), max_size=2))
def test_whatever_else_a_secret_holds_is_refused_in_words(auths: Any) -> None:
    said = ""
    try:
        assert all(logins_of(pull_secret("s", auths), Redactor()).values())
    except ValueError as error:
        said = str(error)
    assert said.startswith(("holds no logins in", "has an entry without user and password")) or not said


@given(st.text(max_size=30))
def test_any_name_of_an_entry_is_for_an_image_or_not(name: str) -> None:
    assert fits(name, Image(HUB, "library/redis", "7")) in {True, False}
