{{- define "millrace.scaleTarget" -}}
{{- if eq .Values.replicas.kind "statefulset" -}}
{apiVersion: apps/v1, kind: StatefulSet, name: {{ include "millrace.fullname" . }}-replica}
{{- else -}}
{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, name: {{ include "millrace.fullname" . }}-replica}
{{- end -}}
{{- end -}}

{{- define "millrace.autoscaling" -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" }}
{{- end }}
{{- if eq .Values.autoscaling.kind "hpa" }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "millrace.fullname" . }}-replica
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {{ include "millrace.scaleTarget" . }}
  minReplicas: {{ .Values.autoscaling.minReplicas }}
  maxReplicas: {{ .Values.autoscaling.maxReplicas }}
  behavior:
    scaleDown: {stabilizationWindowSeconds: {{ .Values.autoscaling.scaleDownSeconds }}}
  metrics:
    - type: External
      external:
        metric:
          name: millrace_queue_tokens
          selector: {matchLabels: {service: {{ include "millrace.fullname" . }}-metrics}}
        target: {type: AverageValue, averageValue: {{ .Values.autoscaling.queuedTokensPerReplica | int64 | quote }}}
{{- else if eq .Values.autoscaling.kind "keda" }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "millrace.fullname" . }}-replica
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {{ include "millrace.scaleTarget" . }}
  minReplicaCount: {{ .Values.autoscaling.minReplicas }}
  maxReplicaCount: {{ .Values.autoscaling.maxReplicas }}
  cooldownPeriod: {{ .Values.autoscaling.scaleDownSeconds }}
  triggers:
    - type: prometheus
      metadata:
        serverAddress: {{ .Values.autoscaling.prometheusAddress }}
        query: sum(millrace_queue_tokens{service="{{ include "millrace.fullname" . }}-metrics",namespace="{{ .Release.Namespace }}"})
        threshold: {{ .Values.autoscaling.queuedTokensPerReplica | int64 | quote }}
{{- end }}
{{- end -}}
