{{/*
An image reference. The service's own registry wins over the global one, unless the policy is `force`.
Mainland registries hold every repository below opencsghq/. Takes (list ROOT IMAGE).
*/}}
{{- define "dataflow.image" -}}
{{- $global := (index . 0).Values.global.image -}}
{{- $image := index . 1 -}}
{{- $registry := $image.registry | default $global.registry -}}
{{- if eq $global.registryPolicy "force" -}}
{{- $registry = $global.registry -}}
{{- end -}}
{{- $repository := $image.repository -}}
{{- if and (hasPrefix "opencsg-registry" $registry) (not (hasPrefix "opencsghq/" $repository)) -}}
{{- $repository = printf "opencsghq/%s" $repository -}}
{{- end -}}
{{- printf "%s/%s:%v" $registry $repository $image.tag -}}
{{- end -}}

{{/* An image and its pull policy, as two lines of a container. Takes (list ROOT IMAGE). */}}
{{- define "dataflow.pull" -}}
image: {{ include "dataflow.image" . }}
imagePullPolicy: {{ (index . 0).Values.global.image.pullPolicy }}
{{- end -}}

{{/* The Secrets that open a private registry, as a line of a pod; nothing when there are none. */}}
{{- define "dataflow.pullSecrets" -}}
{{- with .Values.global.image.pullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The claim template `data` of a StatefulSet. Takes (list ROOT PERSISTENCE). */}}
{{- define "dataflow.claims" -}}
- metadata:
    name: data
  spec:
    {{- include "dataflow.claim" . | nindent 4 }}
{{- end -}}

{{/* What a claim asks for. Takes (list ROOT PERSISTENCE). */}}
{{- define "dataflow.claim" -}}
{{- $shared := (index . 0).Values.global.persistence -}}
{{- $own := index . 1 | default dict -}}
accessModes:
  {{- toYaml ($own.accessModes | default $shared.accessModes) | nindent 2 }}
{{- with $own.storageClass | default $shared.storageClass }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ $own.size | default $shared.size }}
{{- end -}}

{{/*
Init containers that wait for a data store. They ask for ever: a wrong address, database or password is
a pod in Init:0/n, never a crash. The credentials stand in the command line, as on the published chart.
*/}}
{{- define "dataflow.waitForPostgresql" -}}
{{- $root := index . 0 -}}
{{- $postgresql := index . 1 -}}
{{- $dsn := printf "postgresql://%s@%s:%v/%s?sslmode=%s" (include "dataflow.userinfo" $postgresql) $postgresql.host $postgresql.port $postgresql.database $postgresql.sslmode -}}
- name: wait-for-postgresql
  {{- include "dataflow.pull" (list $root $root.Values.postgresql.image) | nindent 2 }}
  command:
    - /bin/sh
    - -c
    - {{ printf "until psql '%s' -c 'SELECT 1'; do echo 'PostgreSQL is not ready'; sleep 2; done" $dsn | quote }}
{{- end -}}

{{- define "dataflow.waitForRedis" -}}
{{- $root := index . 0 -}}
{{- $redis := index . 1 -}}
{{- $password := "" -}}
{{- if $redis.password -}}
{{- $password = printf " -a '%s'" ($redis.password | replace "'" "'\\''") -}}
{{- end -}}
- name: wait-for-redis
  {{- include "dataflow.pull" (list $root $root.Values.redis.image) | nindent 2 }}
  command:
    - /bin/sh
    - -c
    - {{ printf "until redis-cli -h '%s' -p %v%s ping | grep -q PONG; do echo 'Redis is not ready'; sleep 2; done" $redis.host $redis.port $password | quote }}
{{- end -}}

{{- define "dataflow.waitForMongo" -}}
{{- $root := index . 0 -}}
{{- $mongo := index . 1 -}}
{{- $dsn := printf "mongodb://%s@%s:%v/admin" (include "dataflow.userinfo" $mongo) $mongo.host $mongo.port -}}
- name: wait-for-mongo
  {{- include "dataflow.pull" (list $root $root.Values.mongo.image) | nindent 2 }}
  command:
    - /bin/sh
    - -c
    - {{ printf "until mongosh '%s' --quiet --eval 'db.runCommand({ping: 1})'; do echo 'MongoDB is not ready'; sleep 2; done" $dsn | quote }}
{{- end -}}
