"""An S3 server on loopback: moto's, which of the two headers that vouch for a locked object's content knows one only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

#: S3 takes either where objects are locked: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
SENT, ASKED = "HTTP_X_AMZ_CHECKSUM_SHA256", "HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"


class Both:
    """The server, told by both."""

    def __init__(self, application: Any) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if SENT in environ:
            environ.setdefault(ASKED, "SHA256")
        answer: Iterable[bytes] = self.application(environ, start)
        return answer


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, Both(DomainDispatcherApplication(create_backend_app)), threaded=True)
    print(server.server_port, flush=True)
    sys.exit(server.serve_forever())
