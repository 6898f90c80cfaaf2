"""Is an image at its registry, and for which platforms? Asked as a node asks: the OCI Distribution API, with tokens.

Nothing but a manifest and, where it stands alone, its small configuration is read; no layer.
"""

import json
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from runbooks_lib.probes.asking import clause
from runbooks_lib.probes.http import HERE, REDIRECTS, trusted
from runbooks_lib.results import Value
from runbooks_lib.threads import once

#: What an image is from that names no registry, and where that answers.
HUB, _HUB_ANSWERS_AT = "docker.io", "registry-1.docker.io"
#: Bytes of a manifest or a configuration; registries need not take larger ones.
LARGEST = 4 * 1024 * 1024

_HOST = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_PART = r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?P<repository>{_PART}(/{_PART})*)(:(?P<tag>\w[-.\w]{{0,127}}))?(@(?P<digest>[a-z0-9]+:[0-9a-f]{{32,}}))?",
    re.ASCII,
)
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,}")
_ACCEPTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        *("oci.image.index.v1", "docker.distribution.manifest.list.v2"),
        *("oci.image.manifest.v1", "docker.distribution.manifest.v2"),
    )
)

State = Literal["found", "missing", "refused", "limited", "unreachable", "odd"]
_STATES: dict[int, State] = {401: "refused", 403: "refused", 404: "missing", 429: "limited"}

#: User and password.
Login = tuple[str, str]


class Image(NamedTuple):
    """Where an image comes from: ``docker.io``, ``library/redis`` and ``7.2.5`` or a digest."""

    registry: str
    repository: str
    reference: str

    @property
    def host(self) -> str:
        """Who is asked for it: a host, with its port where one is named."""
        return _HUB_ANSWERS_AT if self.registry == HUB else self.registry

    @property
    def name(self) -> str:
        """All of it, as in a container."""
        return f"{self.registry}/{self.repository}{'@' if ':' in self.reference else ':'}{self.reference}"


class Seen(Value):
    """What a registry says of an image; ``platforms`` are like ``linux/amd64``, none where it names none."""

    state: State
    says: str = ""
    platforms: tuple[str, ...] = ()


class _Settled(Exception):
    """There is nothing more to ask."""

    def __init__(self, state: State, says: str) -> None:
        super().__init__(says)
        self.seen = Seen(state=state, says=says)


def parse(text: str) -> Image:
    """Where the image of a container comes from; raises ValueError: it is no image's name."""
    first, slash, rest = text.partition("/")
    named = bool(slash) and (first == "localhost" or "." in first or ":" in first)
    registry, rest = (first, rest) if named else (HUB, text)
    found = _NAME.fullmatch(rest)
    if found is None or not _HOST.fullmatch(registry):
        raise ValueError(f"{text!r} is no image's name")
    registry = HUB if registry == f"index.{HUB}" else registry
    official = registry == HUB and "/" not in found["repository"]
    repository = f"library/{found['repository']}" if official else found["repository"]
    return Image(registry, repository, found["digest"] or found["tag"] or "latest")


def look(wanted: Mapping[Image, Login | None], *, seconds: float = 10) -> dict[Image, Seen]:
    """Ask for all images at once, each with its login; a registry that does not answer is asked once.

    Args:
        seconds: For all of it together; what is not known by then is unreachable.
    """
    until = time.monotonic() + seconds
    registries = {host: _Registry(host, until) for host in {image.host for image in wanted}}
    pool = ThreadPoolExecutor(8)
    asked = {image: pool.submit(registries[image.host].see, image, login) for image, login in wanted.items()}
    try:
        wait(asked.values(), timeout=seconds)
        late = Seen(state="unreachable", says="no answer in time")
        return {image: answer.result() if answer.done() else late for image, answer in asked.items()}
    finally:
        # Whoever still waits for an answer gives up by itself, a moment later.
        pool.shutdown(wait=False, cancel_futures=True)
        for registry in registries.values():
            registry.client.close()


class _Registry:
    """One registry, over TLS unless it is on this machine."""

    def __init__(self, host: str, until: float) -> None:
        import httpx

        self.until = until
        here = _here(f"//{host}")
        self.url = f"{'http' if here else 'https'}://{host}/v2/"
        hooks: dict[str, list[Any]] = {"request": [_only_over_tls]}
        self.client = httpx.Client(
            follow_redirects=True, max_redirects=REDIRECTS, trust_env=not here, event_hooks=hooks, verify=trusted()
        )

    @once
    def reached(self) -> Seen:
        """Whether it answers at all."""
        try:
            status, _, _ = self._get(self.url)
        except Exception as error:  # noqa: BLE001 - of whatever kind, it is what every image there is told
            return _failed(error)
        return Seen(state="limited" if status == 429 else "found")

    def see(self, image: Image, login: Login | None) -> Seen:
        """What it says of an image."""
        if self.reached.state != "found":
            return self.reached
        try:
            return Seen(state="found", platforms=self._platforms(image, login))
        except Exception as error:  # noqa: BLE001 - one image must not keep the others from being told
            return _failed(error)

    def _platforms(self, image: Image, login: Login | None) -> tuple[str, ...]:
        at = f"{self.url}{image.repository}"
        headers = {"Accept": _ACCEPTS}
        status, answered, body = self._get(f"{at}/manifests/{image.reference}", headers)
        if status == 401:
            headers |= self._authorization(str(answered.get("www-authenticate", "")), image, login)
            status, _, body = self._get(f"{at}/manifests/{image.reference}", headers)
        _require(status, "it")
        manifest = _mapping(body)
        if "manifests" in manifest:
            # What attests an image stands beside it, for a platform that is unknown.
            each = [dict(entry.get("platform") or {}) for entry in manifest["manifests"]]
        else:
            digest = str((manifest.get("config") or {}).get("digest", ""))
            if not _DIGEST.fullmatch(digest):
                raise _Settled("odd", "what it answers is no manifest")
            status, _, body = self._get(f"{at}/blobs/{digest}", {**headers, "Accept": "*/*"})
            _require(status, "the image's configuration", {404: "odd"})
            each = [_mapping(body)]
        named = {f"{one.get('os')}/{one['architecture']}" for one in each if one.get("architecture")}
        return tuple(sorted(named - {"unknown/unknown"}))

    def _authorization(self, challenge: str, image: Image, login: Login | None) -> dict[str, str]:
        """The header that lets in, as the registry asks for it."""
        import httpx

        scheme, said = challenge_of(challenge)
        basic = httpx.BasicAuth(*login) if login else None
        if scheme == "basic" and basic:
            # As the library spells it.
            return {"Authorization": next(basic.auth_flow(httpx.Request("GET", self.url))).headers["Authorization"]}
        if scheme != "bearer" or not said.get("realm"):
            raise _Settled("refused", "wants a login" if scheme == "basic" else "refuses without saying what it wants")
        query = {"service": said.get("service", ""), "scope": f"repository:{image.repository}:pull"}
        status, _, body = self._get(said["realm"], auth=basic, params={key: one for key, one in query.items() if one})
        _require(status, "the login", {400: "refused", 404: "odd"})
        answer = _mapping(body)
        return {"Authorization": f"Bearer {answer.get('token') or answer.get('access_token') or ''}"}

    def _get(
        self, url: str, headers: Mapping[str, str] | None = None, **how: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        body = b""
        with self.client.stream("GET", url, headers=headers, timeout=self._left(), **how) as response:
            for chunk in response.iter_bytes():
                body += chunk
                self._left()
                if len(body) > LARGEST:
                    raise _Settled("odd", "what it answers is too large for a manifest")
            return response.status_code, response.headers, body

    def _left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def challenge_of(header: str) -> tuple[str, dict[str, str]]:
    """Scheme, in lower case, and parameters of the first challenge of a ``WWW-Authenticate``."""
    scheme, _, rest = header.strip().partition(" ")
    pairs = re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))', rest)
    # Of a second challenge in the same line nothing counts.
    return scheme.lower(), {key.lower(): quoted or bare for key, quoted, bare in reversed(pairs)}


def _here(url: str) -> bool:
    try:
        return urlsplit(url).hostname in HERE
    except ValueError:
        return False


def _only_over_tls(request: Any) -> None:
    """Also where it is sent on, or for a token, whose login must not be read by others."""
    if request.url.scheme != "https" and not _here(str(request.url)):
        raise _Settled("odd", f"wants to go on without TLS, at {request.url.host}")


def _require(status: int, what: str, states: Mapping[int, State] = {}) -> None:
    if status != 200:
        raise _Settled((_STATES | dict(states)).get(status, "odd"), f"answered {status} when asked for {what}")


def _mapping(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise _Settled("odd", "what it answers is no manifest")
    return data


def _failed(error: Exception) -> Seen:
    if isinstance(error, _Settled):
        return error.seen
    if isinstance(error, TypeError | ValueError | AttributeError | LookupError):
        return Seen(state="odd", says="what it answers is no manifest")
    said = clause("http", error).format(error=type(error).__name__)
    return Seen(state="unreachable", says=said)
