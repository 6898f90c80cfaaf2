{{/* The name of every object of a service: RELEASE-SERVICE. Takes (list ROOT SERVICE). */}}
{{- define "dataflow.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" $root.Release.Name (index . 1) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
What a selector matches, and the whole of a pod's labels: a label that followed the chart's version
would restart every pod at every upgrade. Takes (list ROOT SERVICE).
*/}}
{{- define "dataflow.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/service: {{ index . 1 }}
{{- end -}}

{{/* The labels of every object. Takes (list ROOT SERVICE). */}}
{{- define "dataflow.labels" -}}
{{- $root := index . 0 -}}
{{ include "dataflow.selector" . }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The host name of a service. Takes (list ROOT SERVICE). */}}
{{- define "dataflow.hostname" -}}
{{- $root := index . 0 -}}
{{- $labels := splitList "." $root.Values.global.gateway.external.domain -}}
{{- if ge (len $labels) 3 -}}
{{- $labels = rest $labels -}}
{{- end -}}
{{- printf "%s.%s" (index . 1) (join "." $labels) -}}
{{- end -}}

{{/* The address a browser uses for a service. Takes (list ROOT SERVICE). */}}
{{- define "dataflow.url" -}}
{{- $root := index . 0 -}}
{{- $gateway := $root.Values.global.gateway -}}
{{- $scheme := ternary "https" "http" $gateway.tls.enabled -}}
{{- $port := "" -}}
{{- if eq $gateway.service.type "NodePort" -}}
{{- $port = printf ":%v" (get $gateway.service.nodePorts $scheme) -}}
{{- end -}}
{{- printf "%s://%s%s" $scheme (include "dataflow.hostname" .) $port -}}
{{- end -}}
