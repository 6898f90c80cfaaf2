"""Where the cluster is and who we are: a kubeconfig, read without touching the client's global settings.

The client's own messages are not shown: some hold the whole entry, keys and tokens included.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from runbooks_lib.errors import Unreachable, UsageError

if TYPE_CHECKING:
    from kubernetes.client.configuration import Configuration

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_WHERE = "Set target.kubeconfig to the path of one, or KUBECONFIG in the environment."


def load(kubeconfig: Path | None, context: str) -> Configuration:
    """The client's settings for one context.

    Args:
        kubeconfig: A file; without one the user's own (``KUBECONFIG``, else ``~/.kube/config``), and without
            that the service account of the pod this runs in.
        context: A context of it; empty for its current one.

    Raises:
        UsageError: There is no kubeconfig, it can't be read, or it does not have the context.
        Unreachable: The program that fetches the credentials failed.
    """
    from kubernetes.client.configuration import Configuration

    settings = Configuration()
    paths = _paths(kubeconfig)
    if not paths:
        return _in_cluster(settings)
    shown = os.pathsep.join(str(path) for path in paths)
    entries = [_read(path) for path in paths]
    name = _choose(entries, context, shown)
    cluster, user = _of_context(entries, name, shown)
    _apply(settings, paths, name, shown, user)
    # A proxy from the environment is for the world outside; no other client asks one for this machine.
    if urlsplit(settings.host).hostname in LOOPBACK and not cluster.get("proxy-url"):
        settings.proxy = None
    return settings


def _paths(kubeconfig: Path | None) -> list[Path]:
    if kubeconfig is not None:
        path = kubeconfig.expanduser()
        if not path.is_file():
            raise UsageError(f"There is no kubeconfig at {path}.", next_step=_WHERE)
        return [path]
    named = os.environ.get("KUBECONFIG", "")
    places = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    found = [path for path in places or [Path("~/.kube/config").expanduser()] if path.is_file()]
    if places and not found:
        raise UsageError(f"KUBECONFIG names {named}, where no file is.", next_step=_WHERE)
    return found


def _in_cluster(settings: Configuration) -> Configuration:
    import kubernetes.config

    load_service_account: Any = kubernetes.config.load_incluster_config
    try:
        load_service_account(client_configuration=settings)
    except (kubernetes.config.ConfigException, OSError) as error:
        home = Path("~/.kube/config").expanduser()
        raise UsageError(
            f"There is no kubeconfig at {home}, and this is no pod.", next_step=_WHERE
        ) from error
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _unusable(path, f"it is not YAML{line}: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unusable(path, "it is not YAML") from error
    except OSError as error:
        raise _unusable(path, f"it can't be read: {error.strerror}") from error
    if content is None:
        raise _unusable(path, "it is empty")
    if not isinstance(content, dict):
        raise _unusable(path, "it is not a mapping")
    for section in ("clusters", "contexts", "users"):
        entries = content.get(section) or []
        if not isinstance(entries, list) or not all(_is_entry(entry, section[:-1]) for entry in entries):
            raise _unusable(path, f"its {section} are not a list of entries with name and {section[:-1]}")
    return content


def _is_entry(entry: Any, body: str) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get(body), dict | None)
    )


def _unusable(path: Path | str, why: str) -> UsageError:
    return UsageError(
        f"The kubeconfig {path} can't be used: {why}.",
        next_step="Fetch it again from the cluster's administrator, or name another one in target.kubeconfig.",
    )


def _choose(entries: list[dict[str, Any]], context: str, shown: str) -> str:
    known = [item["name"] for content in entries for item in content.get("contexts") or []]
    listed = "it has " + ", ".join(dict.fromkeys(known)) if known else "it has none at all"
    current = [str(content["current-context"]) for content in entries if content.get("current-context")]
    # The client lets the last file win, and so do we: two readers that differ would be worse than either.
    name = context or (current[-1] if current else "")
    if not name:
        raise UsageError(
            f"The kubeconfig {shown} names no current context; {listed}.",
            next_step="Set target.context to one of them.",
        )
    if name not in known:
        whose = "" if context else ", its current one"
        raise UsageError(
            f"The kubeconfig {shown} has no context {name!r}{whose}; {listed}.",
            next_step="Set target.context to one of them.",
        )
    return name


def _of_context(
    entries: list[dict[str, Any]], name: str, shown: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cluster and the user that a context names."""

    def find(section: str, wanted: Any) -> dict[str, Any] | None:
        for content in entries:
            for item in content.get(section) or []:
                if item["name"] == wanted:
                    return item.get(section[:-1]) or {}
        return None

    context = find("contexts", name) or {}
    cluster = find("clusters", context.get("cluster"))
    if cluster is None or not isinstance(cluster.get("server"), str):
        raise _unusable(shown, f"its context {name} names no cluster with a server")
    if not context.get("user"):
        return cluster, {}
    user = find("users", context["user"])
    if user is None:
        raise _unusable(shown, f"its context {name} names the user {context['user']}, which it does not have")
    return cluster, user


def _apply(settings: Configuration, paths: list[Path], name: str, shown: str, user: dict[str, Any]) -> None:
    import kubernetes.config

    load_file: Any = kubernetes.config.load_kube_config
    joined = os.pathsep.join(str(path) for path in paths)
    with _quiet() as said:
        try:
            # persist_config: the user's file is never written, not even with a fresh token.
            load_file(config_file=joined, context=name, client_configuration=settings, persist_config=False)
        except (kubernetes.config.ConfigException, OSError) as error:
            missing = str(error).removeprefix("File does not exist: ")
            why = (
                f"it names the file {missing}, which is not there"
                if missing != str(error)
                else "it is incomplete"
            )
            raise _unusable(shown, why) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unusable(shown, f"an entry is malformed ({type(error).__name__})") from None
    if "exec" in user and not settings.api_key and not settings.cert_file:
        program = str((user.get("exec") or {}).get("command", "?"))
        first = said[0].splitlines()[0][:200].rstrip(".") if said and said[0] else ""
        clause = f": {first}" if first else ""
        raise Unreachable(
            f"The program {program}, which fetches the credentials of the context {name}, failed{clause}.",
            next_step="Run it by hand; most often it wants a new login.",
        )


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep what the client logs while it loads, instead of showing it."""
    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.module != "kube_config":
            return True
        said.append(record.getMessage())
        return False

    root, silence = logging.getLogger(), logging.NullHandler()
    root.addFilter(keep)
    # Without a handler the first message would set up logging for the whole process.
    root.addHandler(silence)
    try:
        yield said
    finally:
        root.removeFilter(keep)
        root.removeHandler(silence)
