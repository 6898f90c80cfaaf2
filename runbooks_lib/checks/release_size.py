"""Will the release fit into the Secret in which Helm keeps it?

Estimated as Helm packs it: a JSON of the chart's own files (those of its subcharts are not kept), the values, the
manifest and the hooks, through gzip and base64. A Secret's limit holds for that text; that the text travels in
base64 once more does not count.
"""

import base64
import gzip
import json

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject

#: Bytes that a Secret may hold, and the share of it from which on one is told.
LIMIT, _FULL = 1024 * 1024, 0.8


def size(subject: Subject) -> Answer:
    """The estimate against the limit."""
    packed = estimate(subject)
    share = packed / LIMIT
    observed = f"the release's Secret will hold about {packed // 1024} KiB of {LIMIT // 1024} KiB ({share:.0%})"
    return Answer("fail" if share > 1 else "warn" if share > _FULL else "pass", observed)


def estimate(subject: Subject) -> int:
    """How many bytes Helm will put into the Secret of the release."""
    rendered = subject.proposal.rendered
    own = {name: text for name, text in subject.boundaries.chart_source.files.items() if not name.startswith("charts/")}
    files = {name: base64.b64encode(content).decode() for name, content in own.items()}
    release = {"chart": files, "config": rendered.values, "manifest": rendered.manifest, "hooks": rendered.hooks}
    return len(base64.b64encode(gzip.compress(json.dumps(release).encode(), 9)))
