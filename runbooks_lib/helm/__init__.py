"""Helm: one spelling of each flag, frozen results, and sentences for its errors."""

from runbooks_lib.helm.client import Helm, kube_cache
from runbooks_lib.helm.values import ChartFile, Release, Revision

__all__ = ["ChartFile", "Helm", "Release", "Revision", "kube_cache"]
