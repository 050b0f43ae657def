{{- define "millrace.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Of what a release has once. */}}
{{- define "millrace.release" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "millrace.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of what each model has. */}}
{{- define "millrace.fullname" -}}
{{- if .model -}}
{{- $name := printf "%s-%s" (include "millrace.release" .) .model -}}
{{- if gt (len $name) 40 -}}
{{- fail (printf "models: the name \"%s\" is longer than 40 characters; choose a shorter one, or a shorter release or fullnameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- else -}}
{{- include "millrace.release" . -}}
{{- end -}}
{{- end -}}

{{/* Of everything in the release. */}}
{{- define "millrace.releaseSelector" -}}
app.kubernetes.io/name: {{ include "millrace.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of one model's. */}}
{{- define "millrace.selector" -}}
{{ include "millrace.releaseSelector" . }}
{{- with .model }}
millrace/model: {{ . }}
{{- end }}
{{- end -}}

{{- define "millrace.labels" -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "millrace.image" -}}
{{- with .Values.image -}}
{{- $name := .repository -}}
{{- if .registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .registry) .repository }}{{ end -}}
{{ $name }}:{{ default $.Chart.AppVersion .tag }}{{ if .digest }}@{{ .digest }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "millrace.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "millrace.release" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Lays the map .over over the map .base, which it changes: maps key by key, all else as a whole. */}}
{{- define "millrace.over" -}}
{{- $base := .base -}}
{{- range $key, $value := .over -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $base $key)) -}}
{{- include "millrace.over" (dict "base" (get $base $key) "over" $value) -}}
{{- else -}}
{{- $_ := set $base $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Renders the templates named in .templates for every model of .root; .model is its name, empty where there is but one. */}}
{{- define "millrace.eachModel" -}}
{{- $root := .root -}}
{{- $templates := .templates -}}
{{- range $entry := default (list dict) $root.Values.models }}
{{- $values := deepCopy $root.Values }}
{{- include "millrace.over" (dict "base" $values "over" (omit $entry "name")) }}
{{- $context := dict "Values" $values "Chart" $root.Chart "Release" $root.Release "Capabilities" $root.Capabilities "model" (default "" $entry.name) }}
{{- range $templates }}
{{ include . $context }}
{{- end }}
{{- end }}
{{- end -}}
