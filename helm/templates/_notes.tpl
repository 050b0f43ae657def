{{- define "millrace.note" -}}
{{ include "millrace.fullname" . }}: a coordinator and {{ if eq .Values.autoscaling.kind "none" }}{{ .Values.replicas.count }}{{ else }}{{ .Values.autoscaling.minReplicas }} to {{ .Values.autoscaling.maxReplicas }}{{ end }} replica(s) of {{ .Values.replicas.ranks }} rank(s). Wait until a replica has loaded its model, then write a text:

  kubectl -n {{ .Release.Namespace }} rollout status deployment/{{ include "millrace.fullname" . }}
  kubectl -n {{ .Release.Namespace }} port-forward service/{{ include "millrace.fullname" . }} 7077:{{ .Values.coordinator.port }} &
  millrace generate --endpoint 127.0.0.1:7077 "Once upon a time"
{{ end -}}
