"""A chart that nobody has seen: made by the test, and named as nothing in the library or the sandbox is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

NAME = "harbour"

_CHART = """
apiVersion: v2
name: harbour
version: VERSION
appVersion: "7"
"""

_VALUES: dict[str, Any] = {
    "store": {"enabled": True},
    # `waitsFor` names a label that a node must have before the pod can run.
    "quay": {"enabled": True, "waitsFor": ""},
    # A Job before each change.
    "tide": {"enabled": True, "waitsFor": "", "fails": False},
}

_CHARTER = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-charter}
data: {edition: {{ .Chart.Version | quote }}}
"""

_QUAY = """
{{- if .Values.quay.enabled }}
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}-quay}
spec:
  selector: {berth: {{ .Release.Name }}-quay}
  ports: [{port: 70, targetPort: 7000}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}-quay}
spec:
  selector: {matchLabels: {berth: {{ .Release.Name }}-quay}}
  template:
    metadata: {labels: {berth: {{ .Release.Name }}-quay}}
    spec:
      {{- with .Values.quay.waitsFor }}
      nodeSelector: { {{ . }}: "yes" }
      {{- end }}
      containers:
        - name: crane
          image: registry.example/tiny:1
          ports: [{containerPort: 7000}]
          env: [{name: EDITION, value: {{ .Chart.Version | quote }}}]
{{- end }}
"""

# Its password is made up at the first install and found again later, as the published chart has it.
_STORE = """
{{- if .Values.store.enabled }}
{{- $seal := printf "%s-seal" .Release.Name }}
{{- $old := (lookup "v1" "Secret" .Release.Namespace $seal).data | default dict }}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $seal }}
  annotations: {helm.sh/resource-policy: keep}
data:
  POSTGRES_USER: {{ "purser" | b64enc }}
  POSTGRES_PASSWORD: {{ $old.POSTGRES_PASSWORD | default (randAlphaNum 20 | b64enc) }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}-logbook}
spec:
  selector: {berth: {{ .Release.Name }}-logbook}
  ports: [{port: 5432}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: {{ .Release.Name }}-logbook}
spec:
  serviceName: {{ .Release.Name }}-logbook
  selector: {matchLabels: {berth: {{ .Release.Name }}-logbook}}
  template:
    metadata: {labels: {berth: {{ .Release.Name }}-logbook}}
    spec:
      containers:
        - name: scribe
          image: mirror.example/library/postgres:16.4
          ports: [{containerPort: 5432}]
          env: [{name: POSTGRES_DB, value: voyages}]
          envFrom: [{secretRef: {name: {{ $seal }}}}]
          volumeMounts: [{name: pages, mountPath: /var/lib/postgresql/data}]
  volumeClaimTemplates:
    - metadata: {name: pages}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
{{- end }}
"""

_TIDE = """
{{- if .Values.tide.enabled }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-tide
  annotations:
    helm.sh/hook: pre-install,pre-upgrade,pre-delete
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 0
  template:
    {{- if .Values.tide.fails }}
    metadata: {annotations: {sandbox.dataflow-runbooks.dev/exit-code: "1"}}
    {{- end }}
    spec:
      restartPolicy: Never
      {{- with .Values.tide.waitsFor }}
      nodeSelector: { {{ . }}: "yes" }
      {{- end }}
      containers: [{name: moon, image: "registry.example/tiny:1"}]
{{- end }}
"""


def write(folder: Path, version: str = "0.1.0") -> Path:
    """The chart's folder of one version, below this one."""
    made = folder / f"{NAME}-{version}"
    (made / "templates").mkdir(parents=True)
    (made / "Chart.yaml").write_text(_CHART.replace("VERSION", version))
    (made / "values.yaml").write_text(yaml.safe_dump(_VALUES))
    for name, text in {"charter": _CHARTER, "quay": _QUAY, "store": _STORE, "tide": _TIDE}.items():
        (made / "templates" / f"{name}.yaml").write_text(text)
    return made


def overrides(chart: Path, **values: Any) -> dict[str, Any]:
    """The parameters that name it in place of a repository's chart."""
    return {"chart.repository": "", "chart.version": "", "chart.path": str(chart), "values": values}
