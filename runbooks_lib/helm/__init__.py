"""Helm: one spelling of each flag, frozen results, and sentences for its errors."""

from runbooks_lib.helm.client import Helm
from runbooks_lib.helm.defaults import default_values
from runbooks_lib.helm.values import ChartFile, Release, Revision

__all__ = ["ChartFile", "Helm", "Release", "Revision", "default_values"]
