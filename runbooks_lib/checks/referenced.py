"""Secrets that rendered objects name: the cluster's, or the ones that the chart brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks_lib.release.manifest import key_of
from runbooks_lib.release.passwords import learn_secret
from runbooks_lib.results import Json

if TYPE_CHECKING:
    from runbooks_lib.checks.prerequisites import Subject


def secret(subject: Subject, namespace: str, name: str) -> Json | None:
    """A Secret; the redactor knows its values before this returns. ``None``: there is none."""
    wanted, here = ("", "Secret", namespace, name), subject.boundaries.namespace
    found = next((obj for obj in subject.objects if key_of(obj, here) == wanted), None)
    found = found or subject.boundaries.cluster.get("v1", "Secret", name, namespace)
    if found is not None:
        learn_secret(subject.boundaries.redactor, found)
    return found


def absent(subject: Subject, namespace: str, name: str, command: str) -> tuple[str, str]:
    """What is said of a Secret that is not there, and the commands that make it, by what follows ``create secret``."""
    make = f"kubectl create secret {command.format(name=name)} --namespace {namespace}"
    if subject.boundaries.cluster.get("v1", "Namespace", namespace) is not None:
        return f"Secret {name} is not in namespace {namespace}", f"`{make}`."
    first = f"kubectl create namespace {namespace}"
    return f"Secret {name} is not there, nor is its namespace {namespace}", f"`{first}`, then `{make}`."
