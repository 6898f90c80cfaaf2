"""The calls: the only place that knows Helm's flags (Helm 3.12 and newer, and 4).

Values go in by standard input, never on the command line; every call names kubeconfig, context, namespace
and the project's own Helm home, so that nothing depends on, or writes to, the user's own settings.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from runbooks_lib import process
from runbooks_lib.helm.failures import error_text, failure, refused, shortened
from runbooks_lib.helm.values import (
    ChartFile,
    Release,
    Revision,
    chart_digest,
    dict_of,
    documents,
    metadata_of,
    release_of,
    rendered_of,
    revisions_of,
    yaml_mapping,
)
from runbooks_lib.parameters import resolve_path
from runbooks_lib.redaction import Redactor, is_masked
from runbooks_lib.results import Event, Json, Observe, digest_of, unobserved
from runbooks_lib.threads import once

#: What Helm 4 says of a kind that the cluster does not know (any more).
_UNKNOWN_KIND = "no matches for kind"
#: Seconds for a call that asks the cluster or a repository one question.
QUESTION_SECONDS = 60.0

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Helm:
    """Helm for one release; holds settings only.

    Attributes:
        executable: A name on PATH, or a path; a relative one starts at the project's folder.
        home: The project's own Helm home (repositories, caches); made when needed.
        kubeconfig: ``None`` is the user's default.
        redactor: What may stand in an error's text is decided by it.
    """

    executable: str
    home: Path
    namespace: str
    kubeconfig: Path | None = None
    context: str = ""
    redactor: Redactor = field(default_factory=Redactor)
    run: process.Runner = process.run
    observe: Observe = unobserved

    @once
    def version(self) -> str:
        """Helm's own version, for example ``v3.19.5``; asked once, a program stays the same while a run lasts."""
        done = self._run(["version", "--template", "{{.Version}}"], cluster=False)
        text = (done.stdout if done.ok else done.stderr).strip()
        found = re.search(r"v?\d+\.\d+(\.\d+)?", text) if done.ok else None
        if found is None:
            raise refused("not helm", program=self.executable, said=text[:80])
        return "v" + found.group().removeprefix("v")

    def status(self, release: str, *, revision: int = 0) -> Release | None:
        """The stored release with its manifest, the newest revision or the one named; ``None`` when there is none."""
        which = [release, *(["--revision", str(revision)] if revision else [])]
        done = self._run(["status", *which, "--output", "json"])
        if not done.ok and _UNKNOWN_KIND in error_text(done.stderr):
            return self._in_parts(which)
        return None if _no_release(done) else _parsed("status", self._checked(done), release_of)

    def _in_parts(self, which: list[str]) -> Release:
        """The stored release where a kind of its objects is unknown: Helm 4 looks each object up, and gives no status."""
        texts = [self._call(["get", what, *which, "--output", "json"]) for what in ("metadata", "values")]
        known, values = _parsed("get", texts[0], metadata_of), _parsed("get", texts[1], dict_of)
        manifest, hooks = (self._call(["get", what, *which]) for what in ("manifest", "hooks"))
        told = [one.description for one in self.history(which[0]) if one.revision == known.revision]
        parts: Json = {"values": values, "manifest": manifest, "description": "".join(told)}
        return known.model_copy(update=parts | {"hooks": documents(hooks)})

    def history(self, release: str) -> tuple[Revision, ...]:
        """The stored revisions, oldest first; empty when there is no release."""
        return self._ask(["history", release, "--output", "json", "--max", "20"], revisions_of) or ()

    def values(self, release: str, revision: int) -> Json:
        """The values that a revision was given; empty where there is no such revision."""
        argv = ["get", "values", release, "--revision", str(revision), "--output", "json"]
        return self._ask(argv, dict_of) or {}

    def notes(self, release: str, namespace: str) -> str | None:
        """What a release of any namespace tells its users, or ``None`` when there is none. It may hold passwords."""
        done = replace(self, namespace=namespace)._run(["get", "notes", release])
        return None if _no_release(done) else self._checked(done)

    def fetch(self, *, repository: str, name: str, version: str) -> ChartFile:
        """Fetch one version of a chart from a Helm repository or an OCI registry."""
        if repository.startswith("oci://"):
            reference = f"{repository.rstrip('/')}/{name}"
        else:
            alias = f"{name}-{digest_of(repository)[7:15]}"
            self._call(["repo", "add", alias, repository, "--force-update"], cluster=False)
            reference = f"{alias}/{name}"
        with tempfile.TemporaryDirectory(prefix="chart-") as folder:
            self._call(["pull", reference, "--version", version, "--destination", folder], cluster=False)
            archive = next(Path(folder).glob("*.tgz"))
            kept = self.home / "charts" / chart_digest(archive)[7:] / archive.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            # Same digest, same bytes: replacing an earlier copy changes nothing for a run that reads it.
            partial = kept.with_suffix(f".{os.getpid()}")
            partial.write_bytes(archive.read_bytes())
            partial.replace(kept)
        return self.inspect(kept, source=repository)

    def inspect(self, path: Path, *, source: str = "") -> ChartFile:
        """Name, version and digest of a chart archive or folder on this disk."""
        if not path.exists():
            raise refused("no chart", path=path)
        chart = yaml_mapping(self._call(["show", "chart", str(path)], cluster=False))
        return ChartFile(
            path=str(path),
            name=str(chart.get("name", "")),
            version=str(chart.get("version", "")),
            app_version=str(chart.get("appVersion", "")),
            digest=chart_digest(path),
            source=source or str(path),
        )

    def render(self, release: str, chart: ChartFile, values: Mapping[str, Any], *, upgrade: bool) -> Release:
        """What an install or upgrade would store: a server-side dry run, so that ``lookup`` sees the cluster.

        Raises UsageError: It is older than Helm 3.13, which brought ``--dry-run=server``.
        """
        if re.match(r"v([0-2]\.|3\.([0-9]|1[0-2])(\.|$))", self.version):
            raise refused("too old", version=self.version)
        verb = "upgrade" if upgrade else "install"
        # Without the schemas, whose reading takes half of its time: where the server validates fields (since Kubernetes 1.25),
        # Helm leaves it to the server, and asks for none.
        how = ["--dry-run=server", "--disable-openapi-validation"]
        argv = [verb, release, chart.path, *how, "--values", "-", "--output", "json"]
        made: Release = _parsed(verb, self._call(argv, stdin=_as_json(values)), release_of)
        return made.model_copy(update={"values": dict(values)})

    def template(
        self, release: str, chart: ChartFile, values: Mapping[str, Any], *, version: str, apis: Sequence[str]
    ) -> Release:
        """What the chart contains, without asking the cluster: ``lookup`` finds nothing. Never to be applied.

        Args:
            version: The API server's.
            apis: What the chart may ask ``.Capabilities`` for, beside Helm's own: ``apps/v1``, ``apps/v1/Deployment``.
        """
        argv = [
            "template",
            release,
            chart.path,
            "--namespace",
            self.namespace,
            "--values",
            "-",
            "--kube-version",
            version,
        ]
        argv += [word for api in apis for word in ("--api-versions", api)]
        text = self._call(argv, stdin=_as_json(values), cluster=False)
        return rendered_of(text, name=release, namespace=self.namespace, values=dict(values))

    def change(
        self,
        release: str,
        chart: ChartFile,
        values: Mapping[str, Any],
        *,
        upgrade: bool,
        note: str,
        seconds: float,
        over_others: bool = False,
    ) -> Release:
        """A plain install, or a plain upgrade with exactly these values.

        Never ``upgrade --install``, which hides which of the two it was; never ``--reuse-values``, which
        mixes in values that no file shows.

        Args:
            note: The release's description; the cluster's own history keeps it.
            seconds: For the hooks' Jobs; the roll-out is watched by the caller.
            over_others: Where it applies on the server (Helm 4), it takes back the fields that others have changed.
        """
        verb = "upgrade" if upgrade else "install"
        argv = [verb, release, chart.path, "--values", "-", "--output", "json"]
        argv += ["--description", note, "--timeout", f"{int(seconds)}s"]
        argv += ["--force-conflicts"] if over_others else []
        text = self._call(argv, stdin=_as_json(values), timeout=seconds + process.GRACE_SECONDS)
        return _parsed(verb, text, release_of)

    def rollback(self, release: str, revision: int, *, seconds: float, over_others: bool = False) -> None:
        """Make a new revision that is as an earlier one was; Helm takes no description for it.

        Args:
            over_others: Helm 4 applies on the server, and then also sets what somebody else has written.
        """
        argv = ["rollback", release, str(revision), "--timeout", f"{int(seconds)}s"]
        argv += ["--force-conflicts"] if over_others else []
        self._call(argv, timeout=seconds + process.GRACE_SECONDS)

    def uninstall(self, release: str, *, note: str, seconds: float) -> None:
        """Remove a release and its history; what has the resource policy ``keep`` stays."""
        argv = ["uninstall", release, "--description", note, "--timeout", f"{int(seconds)}s"]
        self._call(argv, timeout=seconds + process.GRACE_SECONDS)

    def _ask(self, argv: Sequence[str], parse: Callable[[Any], Parsed]) -> Parsed | None:
        """The answer to a question about a release; ``None`` when Helm says that there is none."""
        done = self._run(argv)
        if _no_release(done):
            return None
        return _parsed(argv[0], self._checked(done), parse)

    def _call(self, argv: Sequence[str], **how: Any) -> str:
        return self._checked(self._run(argv, **how))

    def _run(
        self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = QUESTION_SECONDS, cluster: bool = True
    ) -> process.Completed:
        # An empty folder: a folder named as the chart in the current one would win over the repository.
        nowhere = self.home / "nowhere"
        nowhere.mkdir(parents=True, exist_ok=True)
        # Nor is it a place for a relative path to start.
        program = str(resolve_path(self.executable)) if "/" in self.executable else self.executable
        if stdin is not None and is_masked(stdin):
            raise refused("masked", verb=argv[0])
        full = [program, *argv, *(self._where() if cluster else ())]
        self.observe(Event(kind="command.started", data={"argv": full}))
        done = self.run(full, timeout=timeout, stdin=stdin, env=self._environment(), cwd=nowhere)
        ended = {"argv": full, "returncode": done.returncode, "seconds": round(done.seconds, 3)}
        if not done.ok:
            ended["stderr"] = shortened(self.redactor.redact(done.stderr))
        self.observe(Event(kind="command.ended", data=ended))
        return done

    def _where(self) -> list[str]:
        flags = {"--namespace": self.namespace, "--kubeconfig": self.kubeconfig, "--kube-context": self.context}
        return [str(word) for flag, value in flags.items() if value for word in (flag, value)]

    def _environment(self) -> dict[str, str]:
        # HELM_DEBUG prints Secrets, HELM_NAMESPACE and HELM_KUBE… would contradict the flags.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HELM_")}
        # Relative to the caller's folder, as every other reader of it takes it.
        if paths := [part for part in inherited.get("KUBECONFIG", "").split(os.pathsep) if part]:
            inherited["KUBECONFIG"] = os.pathsep.join(str(Path(part).expanduser().absolute()) for part in paths)
        homes = {f"HELM_{name.upper()}_HOME": str(self.home / name) for name in ("config", "cache", "data")}
        # What a cluster serves, which would else be kept below the user's ~/.kube.
        return inherited | homes | {"KUBECACHEDIR": str(kube_cache(self.home))}

    def _checked(self, done: process.Completed) -> str:
        if not done.ok:
            raise failure(done, self.redactor.redact)
        return done.stdout


def _no_release(done: process.Completed) -> bool:
    return not done.ok and "release: not found" in error_text(done.stderr)


def kube_cache(home: Path) -> Path:
    """Where Helm keeps what clusters serve, below a Helm home."""
    return home / "cache" / "kube"


def _as_json(values: Mapping[str, Any]) -> str:
    """The values for Helm, which reads them as YAML: that has no pairs of escapes for a character beyond U+FFFF."""
    return json.dumps(values, ensure_ascii=False)


def _parsed(verb: str, text: str, parse: Callable[[Any], Parsed]) -> Parsed:
    try:
        return parse(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # Its words may hold secrets, and so are not shown.
        raise refused("unreadable", verb=verb, kind=type(error).__name__) from None
