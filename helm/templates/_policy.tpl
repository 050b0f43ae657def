{{- define "millrace.policy" -}}
{{- if .Values.podDisruptionBudget.enabled }}
---
# Evictions wait for each other: one replica drains at a time.
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "millrace.fullname" . }}-replica
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "millrace.selector" . | nindent 6 }}
      app.kubernetes.io/component: replica
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "millrace.fullname" . }}
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1 # it drains when it is evicted; 0 would hold up every node drain for ever
  selector:
    matchLabels:
      {{- include "millrace.selector" . | nindent 6 }}
      app.kubernetes.io/component: coordinator
{{- end }}
{{- if .Values.networkPolicy.enabled }}
{{- include "millrace.networkPolicies" . }}
{{- end }}
{{- end -}}

{{- define "millrace.dnsEgress" -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{/* What a pod needs to fetch its model, and what the installer adds. */}}
{{- define "millrace.moreEgress" -}}
{{- if include "millrace.modelIsFetched" . }}
- ports: # of the model
    {{- range .Values.networkPolicy.fetchPorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "millrace.networkPolicies" }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "millrace.fullname" . }}
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "millrace.selector" . | nindent 6 }}
      app.kubernetes.io/component: coordinator
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              {{- include "millrace.selector" . | nindent 14 }}
        {{- if .Values.networkPolicy.clients }}
        {{- toYaml .Values.networkPolicy.clients | nindent 8 }}
        {{- else }}
        - podSelector: {}
        {{- end }}
      ports: [{port: grpc}, {port: http}]
    - ports: [{port: metrics}]
      {{- with .Values.networkPolicy.monitoring }}
      from: {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- $more := include "millrace.moreEgress" . }}
  {{- if $more }}
  egress:
    {{- include "millrace.dnsEgress" . | nindent 4 }}
    {{- $more | nindent 4 }}
  {{- else }}
  egress: [] # it only answers
  {{- end }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "millrace.fullname" . }}-replica
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "millrace.selector" . | nindent 6 }}
      app.kubernetes.io/component: replica
  policyTypes: [Ingress, Egress]
  # Ranks of a group talk to each other; nobody else talks to a replica.
  ingress:
    - from:
        - podSelector:
            matchLabels:
              {{- include "millrace.selector" . | nindent 14 }}
              app.kubernetes.io/component: replica
  egress:
    - to:
        - podSelector:
            matchLabels:
              {{- include "millrace.selector" . | nindent 14 }}
    {{- include "millrace.dnsEgress" . | nindent 4 }}
    {{- include "millrace.moreEgress" . | nindent 4 }}
{{- end -}}
