"""Will the release fit into the Secret in which Helm keeps it?

Estimated as Helm packs it: a JSON of the chart's own files (those of its subcharts are not kept), the values, the
manifest and the hooks, through gzip and base64. A Secret's limit holds for that text; that the text travels in
base64 once more does not count.
"""

import base64
import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.errors import OutcomeUnknown

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
    rendered, chart = subject.proposal.rendered, subject.proposal.chart
    files = {name: base64.b64encode(content).decode() for name, content in _files(Path(chart.path))}
    release = {"chart": files, "config": rendered.values, "manifest": rendered.manifest, "hooks": rendered.hooks}
    return len(base64.b64encode(gzip.compress(json.dumps(release).encode(), 9)))


def _files(chart: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of a chart itself, an archive or a folder."""
    if chart.is_dir():
        found = ((path.relative_to(chart), path) for path in sorted(chart.rglob("*")) if path.is_file())
        yield from ((str(name), path.read_bytes()) for name, path in found if name.parts[0] != "charts")
        return
    try:
        with tarfile.open(chart) as archive:
            for member in archive:
                # All of them are in one folder, which has the chart's name.
                _, _, name = member.name.removeprefix("./").partition("/")
                if (content := archive.extractfile(member)) and not name.startswith("charts/"):
                    yield name, content.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise OutcomeUnknown(f"the chart archive {chart.name} can't be read: {error}") from error
