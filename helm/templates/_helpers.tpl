{{- define "millrace.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "millrace.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "millrace.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "millrace.selector" -}}
app.kubernetes.io/name: {{ include "millrace.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "millrace.labels" -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "millrace.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "millrace.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "millrace.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Nobody's user, nothing to write on but what is mounted, no capabilities: of every container. */}}
{{- define "millrace.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "millrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "millrace.modelPath" -}}
{{- if eq .Values.model.source "image" -}}{{ .Values.model.path }}{{- else -}}/model{{- end -}}
{{- end -}}

{{- define "millrace.modelMount" -}}
{{- if ne .Values.model.source "image" }}
- {name: model, mountPath: /model, readOnly: true{{ if and (eq .Values.model.source "pvc") .Values.model.pvc.subPath }}, subPath: {{ .Values.model.pvc.subPath }}{{ end }}}
{{- end }}
{{- end -}}

{{- define "millrace.modelVolume" -}}
{{- if eq .Values.model.source "pvc" }}
- name: model
  persistentVolumeClaim: {claimName: {{ required "model.pvc.claimName names the claim that holds the model" .Values.model.pvc.claimName }}, readOnly: true}
{{- else if eq .Values.model.source "init" }}
- name: model
  emptyDir: {sizeLimit: {{ .Values.model.init.sizeLimit }}}
{{- end }}
{{- end -}}

{{- define "millrace.modelInit" -}}
{{- if eq .Values.model.source "init" }}
initContainers:
  - name: model
    image: {{ required "model.init.image fills /model" .Values.model.init.image }}
    {{- with .Values.model.init.command }}
    command: {{ toJson . }}
    {{- end }}
    securityContext: {{- include "millrace.containerSecurity" . | nindent 6 }}
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 1Gi}}
    volumeMounts:
      - {name: model, mountPath: /model}
      - {name: tmp, mountPath: /tmp}
{{- end }}
{{- end -}}

{{- define "millrace.secretMounts" -}}
{{- if .Values.tls.enabled }}
- {name: tls, mountPath: /etc/millrace/tls, readOnly: true}
{{- end }}
{{- if .Values.tokens.enabled }}
- {name: tokens, mountPath: /etc/millrace/tokens, readOnly: true}
{{- end }}
{{- end -}}

{{/* .root, .items: which keys of the token secret this pod may see */}}
{{- define "millrace.secretVolumes" -}}
{{- with .root }}
{{- if .Values.tls.enabled }}
- name: tls
  secret: {secretName: {{ required "tls.existingSecret holds tls.crt, tls.key and ca.crt" .Values.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- if .Values.tokens.enabled }}
- name: tokens
  secret:
    secretName: {{ required "tokens.existingSecret holds tokens.json and replica-token" .Values.tokens.existingSecret }}
    defaultMode: 0440
    items: {{- toYaml $.items | nindent 6 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How a program of ours reaches the coordinator. */}}
{{- define "millrace.clientEnv" -}}
{{- if .Values.tls.enabled }}
- {name: MILLRACE_TLS_CA, value: /etc/millrace/tls/ca.crt}
- {name: MILLRACE_TLS_SERVER_NAME, value: {{ include "millrace.fullname" . }}}
{{- if .Values.tls.mutual }}
- {name: MILLRACE_TLS_CERT, value: /etc/millrace/tls/tls.crt}
- {name: MILLRACE_TLS_KEY, value: /etc/millrace/tls/tls.key}
{{- end }}
{{- end }}
{{- if .Values.tokens.enabled }}
- {name: MILLRACE_TOKEN_FILE, value: /etc/millrace/tokens/replica-token}
{{- end }}
{{- end -}}

{{- define "millrace.replicaEnv" -}}
- {name: MILLRACE_MODEL, value: {{ include "millrace.modelPath" . | quote }}}
- {name: MILLRACE_COORDINATOR, value: "{{ include "millrace.fullname" . }}-replicas:{{ .Values.coordinator.port }}"}
- {name: MILLRACE_THREADS, value: {{ .Values.replicas.threads | quote }}}
- {name: MILLRACE_BACKEND, value: {{ .Values.replicas.backend | quote }}}
- {name: MILLRACE_BATCH_TOKENS, value: {{ .Values.replicas.batchTokens | int64 | quote }}}
- {name: MILLRACE_MAX_SEQUENCES, value: {{ .Values.replicas.maxSequences | quote }}}
- {name: MILLRACE_LOG_FORMAT, value: {{ .Values.coordinator.logFormat | quote }}}
- {name: HOME, value: /tmp}
- name: MILLRACE_REPLICA
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- include "millrace.clientEnv" . }}
{{- with .Values.replicas.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "millrace.replicaResources" -}}
{{- $resources := deepCopy .Values.replicas.resources -}}
{{- if gt (int .Values.replicas.gpus) 0 -}}
{{- $limits := default dict $resources.limits -}}
{{- $_ := set $limits .Values.replicas.gpuResource (.Values.replicas.gpus | int) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{- define "millrace.replicaVolumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 1Gi}}
- {name: shm, emptyDir: {medium: Memory, sizeLimit: {{ .Values.replicas.sharedMemory }}}}
{{- include "millrace.modelVolume" . }}
{{- include "millrace.secretVolumes" (dict "root" . "items" (list (dict "key" "replica-token" "path" "replica-token"))) }}
{{- end -}}

{{- define "millrace.replicaMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: shm, mountPath: /dev/shm}
{{- include "millrace.modelMount" . }}
{{- include "millrace.secretMounts" . }}
{{- end -}}

{{- define "millrace.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
