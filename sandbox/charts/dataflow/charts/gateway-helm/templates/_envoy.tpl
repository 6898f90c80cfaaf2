{{/* RELEASE-ALIAS-PART for what the release has to itself. Takes (list ROOT PART). */}}
{{- define "envoy.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s-%s" $root.Release.Name $root.Chart.Name (index . 1) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The registry of the gateway's images is another setting than that of all others. Takes (list ROOT IMAGE). */}}
{{- define "envoy.image" -}}
{{- $image := index . 1 -}}
{{- printf "%s/%s:%v" ((index . 0).Values.global.imageRegistry | default $image.registry) $image.repository $image.tag -}}
{{- end -}}
