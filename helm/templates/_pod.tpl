{{/* What the pods of a component (.values: coordinator, replicas, or nothing) are made of: `pod` with the component's own on top. */}}
{{- define "millrace.podValues" -}}
{{- $all := .root.Values.pod -}}
{{- $own := .values -}}
{{- $made := dict -}}
{{- range list "tolerations" "topologySpreadConstraints" "extraEnv" "envFrom" "extraVolumes" "extraVolumeMounts" "initContainers" "sidecars" "resourceClaims" "hostAliases" -}}
{{- $_ := set $made . (concat (default list (get $all .)) (default list (get $own .))) -}}
{{- end -}}
{{- range list "podLabels" "podAnnotations" "nodeSelector" "affinity" "podSecurityContext" "securityContext" -}}
{{- $map := deepCopy (default dict (get $all .)) -}}
{{- range $key, $value := default dict (get $own .) -}}
{{- $_ := set $map $key $value -}}
{{- end -}}
{{- $_ := set $made . $map -}}
{{- end -}}
{{- range list "priorityClassName" "schedulerName" "runtimeClassName" -}}
{{- $_ := set $made . (default (default "" (get $all .)) (get $own .)) -}}
{{- end -}}
{{- toYaml $made -}}
{{- end -}}

{{/* .root, .component, .pod: what podValues made, .annotations: more */}}
{{- define "millrace.podMeta" -}}
labels:
  {{- include "millrace.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- with .pod.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := merge (default dict .annotations) .pod.podAnnotations }}
{{- with $annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* All of a pod's specification but its containers and volumes. .root, .pod, .graceSeconds */}}
{{- define "millrace.podSpec" -}}
serviceAccountName: {{ include "millrace.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false # it would set MILLRACE_PORT and the like, which look like our settings
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- toYaml .pod.podSecurityContext | nindent 2 }}
{{- with .graceSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with .pod.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .pod.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with .pod.resourceClaims }}
resourceClaims: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.hostAliases }}
hostAliases: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Of a container of ours, behind its command. .root, .pod */}}
{{- define "millrace.container" -}}
image: {{ include "millrace.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError # what mpirun said last is what `kubectl describe` shows
{{- with .pod.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What stands before our containers. .root, .pod */}}
{{- define "millrace.initContainers" -}}
{{- $fetch := include "millrace.modelFetch" . }}
{{- if or .pod.initContainers $fetch }}
initContainers:
  {{- with .pod.initContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- $fetch | nindent 2 }}
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

{{/* .root, .key: which key of the token secret this pod may see */}}
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
    items: [{key: {{ $.key }}, path: {{ $.key }}}]
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
