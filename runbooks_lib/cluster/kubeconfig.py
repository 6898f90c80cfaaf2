"""Where the cluster is and who we are: the client reads the kubeconfig, and its complaints become sentences.

The client's own messages are not shown: some hold the whole entry, keys and tokens included.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from runbooks_lib import process
from runbooks_lib.cluster.failures import LOOPBACK, told

if TYPE_CHECKING:
    from kubernetes.client.configuration import Configuration


def load(kubeconfig: Path | None, context: str) -> Configuration:
    """The client's settings for one context; its global ones are left alone.

    Without a file it is the user's own (``KUBECONFIG``, else ``~/.kube/config``), without a context its current one.

    Raises:
        UsageError: There is no kubeconfig, it can't be used, or it does not have the context.
        Unreachable: The program that fetches the credentials failed.
    """
    from kubernetes.client.configuration import Configuration

    files = str(kubeconfig or os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser())
    current, known = _contexts(files)
    name = context or current
    if name not in known:
        lacks = f"has no context {name!r}" if name else "names no current context"
        raise told("no context", files=files, lacks=lacks, known=", ".join(known) or "none at all")
    settings = Configuration()
    _apply(settings, files, name)
    # A proxy of the environment is for the world outside; no other client asks one for this machine.
    if urlsplit(settings.host).hostname in LOOPBACK and settings.proxy in getproxies().values():
        settings.proxy = None
    return settings


@cache
def _keys() -> Path:
    """Where the client keeps the kubeconfig's keys as files; one for each process, which removes it when it ends."""
    return process.private_folder()


def _contexts(files: str) -> tuple[str, list[str]]:
    """The current context and all of them."""
    from kubernetes.config.kube_config import KubeConfigMerger

    merge: Any = KubeConfigMerger
    try:
        merged = merge(files).config
        if merged is not None:
            contexts = [str(entry["name"]) for entry in merged.value["contexts"]]
            return str(merged.value.get("current-context") or ""), contexts
    except Exception as error:  # noqa: BLE001 (the client trips over a malformed file in many ways)
        raise told("unusable", files=files, why=getattr(error, "strerror", "") or "it is empty or malformed") from None
    raise told("no kubeconfig", files=files)


def _apply(settings: Configuration, files: str, name: str) -> None:
    import kubernetes.config

    load_file: Any = kubernetes.config.load_kube_config
    # The client only logs that a credential program failed; without a handler that would set up logging for all.
    heard = BufferingHandler(1000)
    logging.getLogger().addHandler(heard)
    try:
        # persist_config: the user's file is never written, not even with a fresh token.
        how = {"client_configuration": settings, "persist_config": False, "temp_file_path": str(_keys())}
        load_file(config_file=files, context=name, **how)
    except Exception as error:  # noqa: BLE001 (as above)
        missing = str(error).partition("File does not exist: ")[2]
        what = f"names the file {missing}, which is not there" if missing else "is incomplete or malformed"
        raise told("unusable", files=files, why=f"its context {name} {what}") from None
    finally:
        logging.getLogger().removeHandler(heard)
    said = [record.getMessage() for record in heard.buffer if record.module == "kube_config"]
    if said:
        raise told("no credentials", context=name, why=said[0][:200].strip(". "))
