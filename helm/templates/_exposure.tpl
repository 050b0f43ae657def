{{/* Ways in from outside the cluster. Only the clients' service: replicas attach from inside. */}}
{{- define "millrace.exposure" -}}
{{- if .Values.ingress.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "millrace.fullname" . }}
  labels: {{- include "millrace.labels" . | nindent 4 }}
  {{- $annotations := dict }}
  {{- if eq .Values.ingress.className "nginx" }}
  {{- $_ := set $annotations "nginx.ingress.kubernetes.io/backend-protocol" (ternary "GRPCS" "GRPC" .Values.tls.enabled) }}
  {{- end }}
  {{- with merge (deepCopy .Values.ingress.annotations) $annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  ingressClassName: {{ .Values.ingress.className }}
  {{- with .Values.ingress.tlsSecret }}
  tls:
    - {hosts: [{{ $.Values.ingress.host }}], secretName: {{ . }}}
  {{- end }}
  rules:
    - host: {{ .Values.ingress.host }}
      http:
        paths:
          - path: /millrace.v1.Millrace
            pathType: Prefix
            backend: {service: {name: {{ include "millrace.fullname" . }}, port: {name: grpc}}}
{{- end }}
{{- if .Values.route.enabled }}
{{- include "millrace.route" . }}
{{- end }}
{{- end -}}

{{- define "millrace.route" }}
{{- with .Values.route }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  name: {{ include "millrace.fullname" $ }}
  labels: {{- include "millrace.labels" $ | nindent 4 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if not .parentRefs }}
  {{- fail "route.parentRefs names the gateway: [{name: ..., namespace: ...}]" }}
  {{- end }}
  parentRefs: {{- toYaml .parentRefs | nindent 4 }}
  {{- with .hostnames }}
  hostnames: {{ toJson . }}
  {{- end }}
  rules:
    - matches:
        - method: {type: Exact, service: millrace.v1.Millrace}
          {{- with .headers }}
          headers: {{- toYaml . | nindent 12 }}
          {{- end }}
      backendRefs:
        - {name: {{ include "millrace.fullname" $ }}, port: {{ $.Values.coordinator.port }}}
{{- if and $.Values.tls.enabled .caConfigMap }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: {{ include "millrace.fullname" $ }}
  labels: {{- include "millrace.labels" $ | nindent 4 }}
spec:
  targetRefs: [{group: "", kind: Service, name: {{ include "millrace.fullname" $ }}, sectionName: grpc}]
  validation:
    hostname: {{ include "millrace.fullname" $ }}
    caCertificateRefs: [{group: "", kind: ConfigMap, name: {{ .caConfigMap }}}]
{{- end }}
{{- end }}
{{- end -}}
