"""The Celery worker of Dataflow: ``python -m sandbox.services.worker``. It has no port; its heartbeat is in Redis."""

from __future__ import annotations

import argparse
import os
import sys
import time
import uuid
from pathlib import Path

from sandbox.services.connections import Unavailable, redis_at
from sandbox.services.dataflow import HEARTBEAT

#: Seconds between two beats, and until the last one is forgotten.
BEAT_SECONDS = 1.5
_KEPT_SECONDS = 30


def main() -> None:
    """Beat until the process is ended; ends with 1 when Redis is away or refuses at the start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=Path, required=True)
    parser.add_argument("--heartbeat", type=Path, required=True, help="touched after each beat that Redis has taken")
    asked = parser.parse_args()
    url = os.environ.get("REDIS_HOST_URL", "redis://localhost:6379")
    key = f"{HEARTBEAT}celery@{os.environ.get('HOSTNAME') or uuid.uuid4().hex[:12]}"
    asked.heartbeat.unlink(missing_ok=True)
    began = False
    while True:
        try:
            # Anew each time: where Redis is may have changed.
            with redis_at(url, asked.hosts) as client:
                client.set(key, time.time(), ex=_KEPT_SECONDS)
            asked.heartbeat.touch()
            if not began:
                print(f"[INFO/MainProcess] {key.removeprefix(HEARTBEAT)} ready.", flush=True)
            began = True
        except Unavailable as error:
            if not began:
                print(f"Traceback (most recent call last):\n{error}", file=sys.stderr, flush=True)
                raise SystemExit(1) from error
            print(f"[ERROR/MainProcess] consumer: Cannot connect to Redis: {error}. Trying again.", flush=True)
        time.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    main()
