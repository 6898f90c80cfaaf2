"""Whether an image is at its registry, and for which platforms: asked of a real registry on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from registry_server import DOCKER_LIST, INDEX, OCI_SINGLE, SINGLE, USER, Registry, serving

from runbooks_lib.probes import registry as probe
from runbooks_lib.probes.registry import Image, Login, Seen, challenge_of, look, parse

DIGEST = "sha256:" + "0a" * 32


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving() as made:
        yield made


def seen(registry: Registry, name: str = "team/app:v1", login: Login | None = None, seconds: float = 5) -> Seen:
    image = parse(f"{registry.host}/{name}")
    return look({image: login}, seconds=seconds)[image]


# ---- where an image comes from


@pytest.mark.parametrize(
    ("text", "registry", "repository", "reference", "host"),
    [
        ("redis", "docker.io", "library/redis", "latest", "registry-1.docker.io"),
        ("redis:7.2.5", "docker.io", "library/redis", "7.2.5", "registry-1.docker.io"),
        ("docker.io/redis:7.2.5", "docker.io", "library/redis", "7.2.5", "registry-1.docker.io"),
        ("index.docker.io/a/b", "docker.io", "a/b", "latest", "registry-1.docker.io"),
        ("opencsghq/dataflow:v1", "docker.io", "opencsghq/dataflow", "v1", "registry-1.docker.io"),
        ("r.example.com/redis:1", "r.example.com", "redis", "1", "r.example.com"),
        ("r.example.com:5000/a/b/c:1", "r.example.com:5000", "a/b/c", "1", "r.example.com:5000"),
        ("registry:5000/a", "registry:5000", "a", "latest", "registry:5000"),
        ("localhost/a:1", "localhost", "a", "1", "localhost"),
        ("[::1]:5000/a:1", "[::1]:5000", "a", "1", "[::1]:5000"),
        (f"r.example.com/a@{DIGEST}", "r.example.com", "a", DIGEST, "r.example.com"),
        (f"r.example.com/a:1@{DIGEST}", "r.example.com", "a", DIGEST, "r.example.com"),
    ],
)
def test_an_image_says_where_it_comes_from(
    text: str, registry: str, repository: str, reference: str, host: str
) -> None:
    image = parse(text)
    assert image == (registry, repository, reference)
    assert image.host == host


@pytest.mark.parametrize(
    "text",
    [
        *("", ":v1", "docker.io/", "docker.io/:v1", "a b", "Redis", "r.example.com//a", "https://r.example.com/a"),
        *("a:v1:v2", "a@sha256:12", "-/a", "r.example.com:port/a", "<no value>", "a/b:", "a/../b"),
        *("r.example.com/a?x=1", "a\n"),
    ],
)
def test_what_is_no_images_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no image's name"):
        parse(text)


PARTS = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,4}){0,2}", fullmatch=True)
HOSTS = st.from_regex(r"([a-z0-9]{1,8}\.){1,2}[a-z]{2,5}(:[1-9][0-9]{0,3})?", fullmatch=True)


@given(
    HOSTS, st.lists(PARTS, min_size=1, max_size=3), st.from_regex(r"[A-Za-z0-9_][-._A-Za-z0-9]{0,20}", fullmatch=True)
)
def test_any_full_name_is_taken_apart_as_it_was_put_together(host: str, parts: list[str], tag: str) -> None:
    repository = "/".join(parts)
    image = parse(f"{host}/{repository}:{tag}")
    if host not in {"docker.io", "index.docker.io"}:
        assert image == (host, repository, tag)
    assert parse(image.name) == image


@given(st.text(max_size=60) | st.from_regex(r"[a-z./:@\[\]0-9-]{0,40}", fullmatch=True))
@example("docker.io/docker.io/a")
def test_any_text_is_refused_or_has_a_full_name_that_means_the_same(text: str) -> None:
    try:
        image = parse(text)
    except ValueError:
        return
    assert parse(image.name) == image
    assert not set(image.name) & set(" ?#\\\n")


# ---- what a registry asks for


@pytest.mark.parametrize(
    ("header", "scheme", "said"),
    [
        ('Bearer realm="https://a/t",service="s"', "bearer", {"realm": "https://a/t", "service": "s"}),
        ('bearer realm="https://a/t", Scope="a,b:pull"', "bearer", {"realm": "https://a/t", "scope": "a,b:pull"}),
        ("Basic realm=here", "basic", {"realm": "here"}),
        ('Bearer realm="https://a/t", Basic realm="x"', "bearer", {"realm": "https://a/t"}),
        ("Negotiate", "negotiate", {}),
        ("", "", {}),
    ],
)
def test_a_challenge_is_read(header: str, scheme: str, said: dict[str, str]) -> None:
    assert challenge_of(header) == (scheme, said)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(st.characters(exclude_characters='"\\'), min_size=1)
    )
)
def test_any_challenge_is_read_as_it_was_written(said: dict[str, str]) -> None:
    written = ",".join(f'{key}="{value}"' for key, value in said.items())
    assert challenge_of(f"Bearer {written}") == ("bearer", said)


# ---- what it says of an image


@pytest.mark.parametrize("kind", [INDEX, DOCKER_LIST])
def test_an_index_names_its_platforms_and_attestations_are_none(registry: Registry, kind: str) -> None:
    registry.index("team/app", "v1", "linux/arm64", "linux/amd64", "unknown/unknown", kind=kind)
    assert seen(registry) == Seen(state="found", platforms=("linux/amd64", "linux/arm64"))


@pytest.mark.parametrize("kind", [SINGLE, OCI_SINGLE])
def test_an_image_alone_names_its_platform_in_its_configuration(registry: Registry, kind: str) -> None:
    registry.single("team/app", "v1", "linux/arm64", kind=kind)
    assert seen(registry) == Seen(state="found", platforms=("linux/arm64",))


def test_an_image_is_found_by_its_digest(registry: Registry) -> None:
    digest = registry.index("team/app", "v1", "linux/amd64")
    assert seen(registry, f"team/app:gone@{digest}").state == "found"


def test_an_image_without_a_platform_is_found(registry: Registry) -> None:
    registry.single("team/app", "v1", "")
    assert seen(registry) == Seen(state="found")


@pytest.mark.parametrize("login", ["Basic", "Bearer"])
def test_a_login_opens_a_private_registry(registry: Registry, login: str) -> None:
    registry.login, registry.public = login, False
    registry.single("team/app", "v1", "linux/amd64")
    assert seen(registry, login=(USER, registry.password)).state == "found"
    assert seen(registry, login=(USER, "wrong")).state == "refused"
    assert seen(registry).state == "refused"


def test_a_password_is_given_to_nobody_who_has_not_asked_for_it(registry: Registry) -> None:
    registry.index("team/app", "v1", "linux/amd64")
    assert seen(registry, login=(USER, registry.password)).state == "found"
    assert {allowed for _, allowed in registry.asked} == {""}


def test_nobody_in_particular_gets_a_token_for_what_is_public(registry: Registry) -> None:
    registry.login = "Bearer"
    registry.index("team/app", "v1", "linux/amd64")
    assert seen(registry).state == "found"
    assert any("scope=repository%3Ateam%2Fapp%3Apull" in path for path, _ in registry.asked)


def test_who_keeps_the_blobs_for_a_registry_gets_none_of_its_tokens(registry: Registry) -> None:
    registry.login = "Bearer"
    with serving() as store:
        registry.blobs_at = store
        registry.single("team/app", "v1", "linux/amd64")
        assert seen(registry, login=(USER, registry.password)).platforms == ("linux/amd64",)
        assert [allowed for _, allowed in store.asked] == [""]


@pytest.mark.parametrize(
    ("path", "status", "state", "says"),
    [
        ("/v2/team/app/manifests/v1", 404, "missing", "answered 404 when asked for it"),
        ("/v2/team/app/manifests/v1", 403, "refused", "answered 403 when asked for it"),
        ("/v2/team/app/manifests/v1", 401, "refused", "refuses without saying what it wants"),
        ("/v2/team/app/manifests/v1", 429, "limited", "answered 429 when asked for it"),
        ("/v2/team/app/manifests/v1", 503, "odd", "answered 503 when asked for it"),
        ("/v2/", 429, "limited", ""),
        ("/v2/", 404, "found", ""),
        ("/v2/", 503, "found", ""),
    ],
)
def test_what_a_registry_answers_instead_is_told(
    registry: Registry, path: str, status: int, state: str, says: str
) -> None:
    registry.index("team/app", "v1", "linux/amd64")
    registry.answers[path] = status
    found = seen(registry)
    assert (found.state, found.says) == (state, says)


@pytest.mark.parametrize(
    ("status", "state"),
    [(400, "refused"), (401, "refused"), (403, "refused"), (404, "odd"), (429, "limited"), (500, "odd")],
)
def test_who_gives_no_token_is_told(registry: Registry, status: int, state: str) -> None:
    registry.login, registry.answers = "Bearer", {"/token": status}
    found = seen(registry)
    assert (found.state, found.says) == (state, f"answered {status} when asked for the login")


def test_a_login_is_not_sent_over_the_network_in_clear(registry: Registry) -> None:
    registry.login, registry.realm = "Bearer", "http://tokens.invalid/token"
    found = seen(registry, login=(USER, registry.password))
    assert (found.state, found.says) == ("odd", "wants to go on without TLS, at tokens.invalid")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>Welcome</html>", "what it answers is no manifest"),
        (b"[]", "what it answers is no manifest"),
        (b"{}", "what it answers is no manifest"),
        (b'{"manifests": 1}', "what it answers is no manifest"),
        (b'{"manifests": [{"platform": "linux"}]}', "what it answers is no manifest"),
        (b'{"config": {"digest": "../../secret"}}', "what it answers is no manifest"),
        (b" " * 2000, "what it answers is too large for a manifest"),
    ],
)
def test_what_is_no_manifest_is_odd(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, content: bytes, says: str
) -> None:
    monkeypatch.setattr(probe, "LARGEST", 1000)
    registry.put("team/app", "v1", content, INDEX)
    found = seen(registry)
    assert (found.state, found.says) == ("odd", says)


def test_a_configuration_that_is_gone_is_odd(registry: Registry) -> None:
    registry.single("team/app", "v1", "linux/amd64")
    registry.pages = {path: page for path, page in registry.pages.items() if "/blobs/" not in path}
    assert seen(registry) == Seen(state="odd", says="answered 404 when asked for the image's configuration")


# ---- registries that do not answer


def test_a_registry_that_is_down_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    image = parse(f"127.0.0.1:{port}/a")
    assert look({image: None})[image] == Seen(state="unreachable", says="connection refused")


def test_a_registry_whose_name_does_not_resolve_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    image = parse("registry.invalid/a")
    assert look({image: None})[image] == Seen(state="unreachable", says="its name does not resolve")


def test_a_registry_that_hangs_is_asked_once_for_all_its_images_and_keeps_nobody_waiting(registry: Registry) -> None:
    registry.silent = True
    with serving() as other:
        other.index("team/app", "v1", "linux/amd64")
        images = [parse(f"{registry.host}/team/app:{number}") for number in range(5)]
        images.append(parse(f"{other.host}/team/app:v1"))
        found = look(dict.fromkeys(images), seconds=2)
    assert [found[image] for image in images[:-1]] == [Seen(state="unreachable", says="no answer in time")] * 5
    assert found[images[-1]].state == "found"
    assert registry.paths() == ["/v2/"]


def test_each_image_has_its_own_answer(registry: Registry) -> None:
    registry.index("team/app", "v1", "linux/amd64")
    registry.answers["/v2/team/app/manifests/v3"] = 403
    images = {Image(registry.host, "team/app", tag): None for tag in ("v1", "v2", "v3")}
    assert [one.state for one in look(images).values()] == ["found", "missing", "refused"]
    assert registry.paths().count("/v2/") == 1


def test_no_image_is_no_question() -> None:
    assert look({}) == {}
