"""Places that are no folder of this machine: URLs that fsspec knows."""

from contextlib import suppress
from typing import Any

#: What obstore reads and writes, where it is installed: the libraries that fsspec would take for S3 can't be beside ours.
_BY_OBSTORE = ("s3", "s3a", "gs", "gcs", "abfs", "az")


def is_url(place: str) -> bool:
    """Whether a place is named by a URL, and not by a path."""
    return "://" in place


def opened(place: str) -> tuple[Any, str]:
    """The file system of a URL or a path, and its path in that; raises what its library raises where it is not installed."""
    import fsspec

    if place.partition("://")[0] in _BY_OBSTORE:
        with suppress(ImportError):
            from obstore.fsspec import register

            register(_BY_OBSTORE)
    files, path = fsspec.core.url_to_fs(place)
    return files, str(path)
