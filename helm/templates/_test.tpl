{{/* `helm test RELEASE`: writes a text through the service, as a client would. */}}
{{- define "millrace.test" -}}
{{- $pod := include "millrace.podValues" (dict "root" . "values" (pick .Values.coordinator "nodeSelector" "tolerations" "affinity" "priorityClassName" "podSecurityContext" "securityContext")) | fromYaml }}
{{- $args := dict "root" . "pod" $pod "component" "test" "annotations" (dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded") }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "millrace.fullname" . }}-test
  {{- include "millrace.podMeta" $args | nindent 2 }}
spec:
  restartPolicy: Never
  {{- include "millrace.podSpec" $args | nindent 2 }}
  containers:
    - name: generate
      command: [millrace, generate, --endpoint, "{{ include "millrace.fullname" . }}:{{ .Values.coordinator.port }}", --length, "64", --seed, "1", "Once upon a time"]
      {{- include "millrace.container" $args | nindent 6 }}
      env:
        - {name: HOME, value: /tmp}
        {{- include "millrace.clientEnv" . | nindent 8 }}
        {{- with $pod.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      securityContext: {{- toYaml $pod.securityContext | nindent 8 }}
      resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 256Mi}}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- include "millrace.secretMounts" . | nindent 8 }}
        {{- with $pod.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - {name: tmp, emptyDir: {sizeLimit: 16Mi}}
    {{- include "millrace.secretVolumes" (dict "root" . "key" "replica-token") | nindent 4 }}
    {{- with $pod.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
