{{/* Where a pod finds the model, and how it comes there. */}}
{{- define "millrace.modelPath" -}}
{{- if eq .Values.model.source "image" -}}{{ .Values.model.path }}{{- else -}}/model{{- end -}}
{{- end -}}

{{/* "yes": a container of the pod fetches it. */}}
{{- define "millrace.modelIsFetched" -}}
{{- if has .Values.model.source (list "huggingface" "s3" "init") -}}yes{{- end -}}
{{- end -}}

{{/* The claim that holds it; empty: none does. */}}
{{- define "millrace.modelClaim" -}}
{{- with .Values.model.pvc -}}
{{- if .claimName -}}{{ .claimName }}
{{- else if .create -}}{{ include "millrace.fullname" $ }}-model
{{- else if eq $.Values.model.source "pvc" -}}
{{- fail "model.pvc.claimName names the claim that holds the model, or model.pvc.create makes one" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* .root, .readOnly */}}
{{- define "millrace.modelMount" -}}
{{- $model := .root.Values.model }}
{{- if ne $model.source "image" }}
{{- $subPath := ternary $model.oci.subPath $model.pvc.subPath (eq $model.source "oci") }}
{{- if and (ne $model.source "oci") (not (include "millrace.modelClaim" .root)) }}{{ $subPath = "" }}{{ end }}
- {name: model, mountPath: /model{{ if .readOnly }}, readOnly: true{{ end }}{{ with $subPath }}, subPath: {{ . }}{{ end }}}
{{- end }}
{{- end -}}

{{- define "millrace.modelVolume" -}}
{{- $model := .Values.model }}
{{- if eq $model.source "oci" }}
{{- if semverCompare "<1.31.0-0" .Capabilities.KubeVersion.Version }}
{{- fail (printf "model.source: oci mounts an image as a volume, which Kubernetes %s does not do; use model.source: init" .Capabilities.KubeVersion.Version) }}
{{- end }}
- name: model
  image: {reference: {{ required "model.oci.reference names the image that holds the model" $model.oci.reference | quote }}, pullPolicy: {{ $model.oci.pullPolicy }}}
{{- else if ne $model.source "image" }}
{{- $claim := include "millrace.modelClaim" . }}
{{- if $claim }}
- name: model
  persistentVolumeClaim: {claimName: {{ $claim }}{{ if eq $model.source "pvc" }}, readOnly: true{{ end }}}
{{- else }}
- name: model
  emptyDir: {sizeLimit: {{ $model.sizeLimit }}}
{{- end }}
{{- end }}
{{- if and (eq $model.source "huggingface") $model.huggingface.tokenSecret }}
- name: hub-token
  secret: {secretName: {{ $model.huggingface.tokenSecret }}, defaultMode: 0440, items: [{key: token, path: token}]}
{{- end }}
{{- end -}}

{{/* Image and command of the container that fetches it; the rest is the same whatever the source. */}}
{{- define "millrace.fetchHuggingface" -}}
image: {{ include "millrace.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.model.huggingface }}
command: [/usr/share/millrace/deploy/fetch-model.sh, {{ required "model.huggingface.repository is OWNER/NAME" .repository | quote }}, {{ .revision | quote }}, /model]
{{- end }}
{{- end -}}

{{- define "millrace.fetchS3" -}}
{{- with .Values.model.s3 -}}
image: {{ .image }}
command: [aws, s3, sync, --no-progress{{ with .region }}, --region, {{ . | quote }}{{ end }}{{ with .endpoint }}, --endpoint-url, {{ . | quote }}{{ end }}, {{ required "model.s3.uri is s3://BUCKET/PREFIX" .uri | quote }}, /model]
{{- end }}
{{- end -}}

{{- define "millrace.fetchInit" -}}
{{- with .Values.model.init -}}
image: {{ required "model.init.image fills /model" .image }}
{{- with .command }}
command: {{ toJson . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "millrace.fetchEnv" -}}
- {name: HOME, value: /tmp}
{{- if eq .source "huggingface" }}
- {name: HF_ENDPOINT, value: {{ .huggingface.endpoint | quote }}}
{{- if .huggingface.tokenSecret }}
- {name: HF_TOKEN_FILE, value: /etc/millrace/hub/token}
{{- end }}
{{- end }}
{{- with .fetchEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "millrace.fetchEnvFrom" -}}
{{- if and (eq .source "s3") .s3.credentialsSecret }}
- secretRef: {name: {{ .s3.credentialsSecret }}}
{{- end }}
{{- with .fetchEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* .root, .pod */}}
{{- define "millrace.modelFetch" -}}
{{- $model := .root.Values.model -}}
{{- if include "millrace.modelIsFetched" .root -}}
{{- $template := get (dict "huggingface" "millrace.fetchHuggingface" "s3" "millrace.fetchS3" "init" "millrace.fetchInit") $model.source -}}
- name: model
  {{- include $template .root | nindent 2 }}
  env: {{- include "millrace.fetchEnv" $model | nindent 4 }}
  {{- with include "millrace.fetchEnvFrom" $model | trim }}
  envFrom: {{- . | nindent 4 }}
  {{- end }}
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext: {{- toYaml .pod.securityContext | nindent 4 }}
  resources: {{- toYaml $model.fetchResources | nindent 4 }}
  volumeMounts:
    {{- include "millrace.modelMount" (dict "root" .root "readOnly" false) | nindent 4 }}
    - {name: tmp, mountPath: /tmp}
    {{- if and (eq $model.source "huggingface") $model.huggingface.tokenSecret }}
    - {name: hub-token, mountPath: /etc/millrace/hub, readOnly: true}
    {{- end }}
    {{- with .pod.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* The claim that we make. */}}
{{- define "millrace.modelPvc" -}}
{{- with .Values.model.pvc }}
{{- if and .create (ne $.Values.model.source "image") (ne $.Values.model.source "oci") }}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "millrace.modelClaim" $ }}
  labels: {{- include "millrace.labels" $ | nindent 4 }}
  {{- if .keep }}
  annotations: {helm.sh/resource-policy: keep}
  {{- end }}
spec:
  accessModes: {{ toJson .accessModes }}
  {{- with .storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources: {requests: {storage: {{ .size }}}}
{{- end }}
{{- end }}
{{- end -}}
