{{/*
The minute of the install, kept for the whole render: two templates either side of a full minute would
otherwise make two passwords.
*/}}
{{- define "dataflow.minute" -}}
{{- if not (hasKey .Values.global "minute") -}}
{{- $_ := set .Values.global "minute" (dateInZone "200601021504" now "UTC") -}}
{{- end -}}
{{- .Values.global.minute -}}
{{- end -}}

{{/*
The password of a built-in data store: that of the live Secret, else the value, else one that anyone can
work out from the minute of the install, as on the published chart. Takes (list ROOT SERVICE KEY VALUE).
*/}}
{{- define "dataflow.password" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $name := include "dataflow.name" (list $root $service) -}}
{{- $live := lookup "v1" "Secret" $root.Release.Namespace $name -}}
{{- $kept := get ($live.data | default dict) (index . 2) -}}
{{- if $kept -}}
{{- $kept | b64dec -}}
{{- else if index . 3 -}}
{{- index . 3 -}}
{{- else -}}
{{- printf "%s/%s/%s" $root.Release.Namespace $name (include "dataflow.minute" $root) | sha256sum | trunc 16 -}}
{{- end -}}
{{- end -}}

{{/* USER:PASSWORD for a connection string. */}}
{{- define "dataflow.userinfo" -}}
{{- printf "%s:%s" (.user | urlquery) (.password | urlquery) | replace "+" "%20" -}}
{{- end -}}

{{/*
The settings of a data store as one service sees them, as YAML: the service's own over global.*.external
(only while the built-in one is off) over the built-in ones. Empty settings count as not set.
Takes (list ROOT STORE OWN BUILT-IN).
*/}}
{{- define "dataflow.settings" -}}
{{- $root := index . 0 -}}
{{- $shared := get $root.Values.global (index . 1) -}}
{{- $settings := index . 3 -}}
{{- $layers := list -}}
{{- if not $shared.enabled -}}
{{- $layers = append $layers ($shared.external | default dict) -}}
{{- end -}}
{{- $layers = append $layers (index . 2 | default dict) -}}
{{- range $layer := $layers -}}
{{- range $key, $value := $layer -}}
{{- if $value -}}
{{- $_ := set $settings $key (ternary ($value | int) $value (eq $key "port")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* host, port, user, password, database, timezone, sslmode. Takes (list ROOT SERVICE OWN). */}}
{{- define "dataflow.postgresql" -}}
{{- $root := index . 0 -}}
{{- $password := "" -}}
{{- if $root.Values.global.postgresql.enabled -}}
{{- $password = include "dataflow.password" (list $root "postgresql" "POSTGRES_PASSWORD" $root.Values.postgresql.password) -}}
{{- end -}}
{{- $builtin := dict
  "host" (include "dataflow.name" (list $root "postgresql"))
  "port" 5432
  "user" $root.Values.postgresql.user
  "password" $password
  "database" (printf "%s_%s" $root.Release.Name (index . 1) | replace "-" "_")
  "timezone" "Etc/UTC"
  "sslmode" "prefer" -}}
{{- include "dataflow.settings" (list $root "postgresql" (index . 2) $builtin) -}}
{{- end -}}

{{/* Not empty while the chart has a Redis, and with it a Celery worker: they went with 2.2. */}}
{{- define "dataflow.hasRedis" -}}
{{- if semverCompare "<2.2.0-0" .Chart.Version }}yes{{ end -}}
{{- end -}}

{{/* host, port, password; the built-in Redis has no password. Nothing without one. Takes (list ROOT OWN). */}}
{{- define "dataflow.redis" -}}
{{- $root := index . 0 -}}
{{- if include "dataflow.hasRedis" $root -}}
{{- $builtin := dict "host" (include "dataflow.name" (list $root "redis")) "port" 6379 "password" "" -}}
{{- include "dataflow.settings" (list $root "redis" (index . 1) $builtin) -}}
{{- end -}}
{{- end -}}

{{/* Not empty while the chart has a MongoDB: it went with 1.17.2. */}}
{{- define "dataflow.hasMongo" -}}
{{- if semverCompare "<1.17.2-0" .Chart.Version }}yes{{ end -}}
{{- end -}}

{{/* host, port, user, password; nothing without a MongoDB. Takes (list ROOT OWN). */}}
{{- define "dataflow.mongo" -}}
{{- $root := index . 0 -}}
{{- if include "dataflow.hasMongo" $root -}}
{{- $password := "" -}}
{{- if $root.Values.global.mongo.enabled -}}
{{- $password = include "dataflow.password" (list $root "mongo" "MONGO_INITDB_ROOT_PASSWORD" $root.Values.mongo.password) -}}
{{- end -}}
{{- $builtin := dict
  "host" (include "dataflow.name" (list $root "mongo"))
  "port" 27017
  "user" $root.Values.mongo.user
  "password" $password -}}
{{- include "dataflow.settings" (list $root "mongo" (index . 1) $builtin) -}}
{{- end -}}
{{- end -}}
