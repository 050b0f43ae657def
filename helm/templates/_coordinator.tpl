{{- define "millrace.coordinator" -}}
{{- $pod := include "millrace.podValues" (dict "root" . "values" .Values.coordinator) | fromYaml }}
{{- $args := dict "root" . "pod" $pod "component" "coordinator" "graceSeconds" (add (int .Values.coordinator.drainSeconds) 15) }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "millrace.fullname" . }}
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
    app.kubernetes.io/component: coordinator
spec:
  # One: the queue lives in its memory. Recreate: replicas attach to one coordinator at a time; the old one finishes what it has
  # accepted, then the new one starts and the replicas, which go on running, come over within two seconds.
  replicas: 1
  strategy: {type: Recreate}
  selector:
    matchLabels:
      {{- include "millrace.selector" . | nindent 6 }}
      app.kubernetes.io/component: coordinator
  template:
    metadata:
      {{- include "millrace.podMeta" $args | nindent 6 }}
    spec:
      {{- include "millrace.podSpec" $args | nindent 6 }}
      {{- include "millrace.initContainers" $args | nindent 6 }}
      containers:
        - name: coordinator
          command: {{ concat (list "millrace-coordinator" "--spawn" "0") .Values.coordinator.extraArgs | toJson }}
          {{- include "millrace.container" $args | nindent 10 }}
          env:
            - {name: MILLRACE_LISTEN, value: "0.0.0.0:{{ .Values.coordinator.port }}"}
            - {name: MILLRACE_HTTP, value: "0.0.0.0:{{ .Values.coordinator.httpPort }}"}
            - {name: MILLRACE_METRICS, value: "0.0.0.0:{{ .Values.coordinator.metricsPort }}"}
            {{- with .Values.coordinator.httpTrustedProxies }}
            - {name: MILLRACE_HTTP_TRUSTED_PROXIES, value: {{ join "," . | quote }}}
            {{- end }}
            {{- with .Values.coordinator.httpAllowOrigin }}
            - {name: MILLRACE_HTTP_ALLOW_ORIGIN, value: {{ . | quote }}}
            {{- end }}
            - {name: MILLRACE_MODEL, value: {{ include "millrace.modelPath" . | quote }}}
            - {name: MILLRACE_MAX_QUEUE, value: {{ .Values.coordinator.maxQueue | int64 | quote }}}
            - {name: MILLRACE_MAX_QUEUE_TOKENS, value: {{ .Values.coordinator.maxQueueTokens | int64 | quote }}}
            - {name: MILLRACE_CLIENT_REQUESTS, value: {{ .Values.coordinator.clientRequests | int64 | quote }}}
            - {name: MILLRACE_CLIENT_TOKENS, value: {{ .Values.coordinator.clientTokens | int64 | quote }}}
            - {name: MILLRACE_MAX_CALLS, value: {{ .Values.coordinator.maxCalls | int64 | quote }}}
            - {name: MILLRACE_CLIENT_CALLS, value: {{ .Values.coordinator.clientCalls | int64 | quote }}}
            - {name: MILLRACE_REPLICA_TIMEOUT, value: {{ .Values.coordinator.replicaTimeoutSeconds | quote }}}
            - {name: MILLRACE_DRAIN_SECONDS, value: {{ .Values.coordinator.drainSeconds | quote }}}
            - {name: MILLRACE_LOG_FORMAT, value: {{ .Values.coordinator.logFormat | quote }}}
            {{- if .Values.tls.enabled }}
            - {name: MILLRACE_TLS_CERT, value: /etc/millrace/tls/tls.crt}
            - {name: MILLRACE_TLS_KEY, value: /etc/millrace/tls/tls.key}
            {{- if .Values.tls.mutual }}
            - {name: MILLRACE_TLS_CLIENT_CA, value: /etc/millrace/tls/ca.crt}
            {{- end }}
            {{- end }}
            {{- if .Values.tokens.enabled }}
            - {name: MILLRACE_TOKENS, value: /etc/millrace/tokens/tokens.json}
            {{- end }}
            {{- with $pod.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - {name: grpc, containerPort: {{ .Values.coordinator.port }}}
            - {name: http, containerPort: {{ .Values.coordinator.httpPort }}}
            - {name: metrics, containerPort: {{ .Values.coordinator.metricsPort }}}
          startupProbe:
            httpGet: {path: /healthz, port: metrics}
            periodSeconds: 1
            timeoutSeconds: 5
            failureThreshold: {{ .Values.coordinator.startupSeconds }}
          livenessProbe:
            httpGet: {path: /healthz, port: metrics}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe: # a replica has every rank loaded and a warm-up step done
            httpGet: {path: /readyz, port: metrics}
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: 2
          securityContext: {{- toYaml $pod.securityContext | nindent 12 }}
          resources: {{- toYaml .Values.coordinator.resources | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- include "millrace.modelMount" (dict "root" . "readOnly" true) | nindent 12 }}
            {{- include "millrace.secretMounts" . | nindent 12 }}
            {{- with $pod.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
        {{- with $pod.sidecars }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        - {name: tmp, emptyDir: {sizeLimit: 64Mi}}
        {{- include "millrace.modelVolume" . | nindent 8 }}
        {{- include "millrace.secretVolumes" (dict "root" . "key" "tokens.json") | nindent 8 }}
        {{- with $pod.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- include "millrace.services" . }}
{{- end -}}

{{- define "millrace.services" }}
{{- $service := .Values.coordinator.service }}
---
# For clients: only while a replica is ready.
apiVersion: v1
kind: Service
metadata:
  name: {{ include "millrace.fullname" . }}
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
    {{- with $service.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $service.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $service.type }}
  {{- with $service.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with $service.loadBalancerSourceRanges }}
  loadBalancerSourceRanges: {{ toJson . }}
  {{- end }}
  {{- with $service.externalTrafficPolicy }}
  externalTrafficPolicy: {{ . }}
  {{- end }}
  selector:
    {{- include "millrace.selector" . | nindent 4 }}
    app.kubernetes.io/component: coordinator
  ports:
    - name: grpc
      port: {{ .Values.coordinator.port }}
      targetPort: grpc
      appProtocol: {{ default (ternary "https" "kubernetes.io/h2c" .Values.tls.enabled) $service.appProtocol }}
      {{- with $service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
    - name: http # OpenAI's API and the page
      port: {{ .Values.coordinator.httpPort }}
      targetPort: http
      appProtocol: {{ ternary "https" "http" .Values.tls.enabled }}
      {{- with $service.httpNodePort }}
      nodePort: {{ . }}
      {{- end }}
---
# For Prometheus: one of its own, so that a load balancer in front of the clients' does not publish it.
apiVersion: v1
kind: Service
metadata:
  name: {{ include "millrace.fullname" . }}-metrics
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
    app.kubernetes.io/component: metrics
spec:
  publishNotReadyAddresses: true # what a coordinator without replicas says is what one wants to know
  selector:
    {{- include "millrace.selector" . | nindent 4 }}
    app.kubernetes.io/component: coordinator
  ports:
    - {name: metrics, port: {{ .Values.coordinator.metricsPort }}, targetPort: metrics}
---
# For replicas: also before any is ready, since they are what makes it so.
apiVersion: v1
kind: Service
metadata:
  name: {{ include "millrace.fullname" . }}-replicas
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "millrace.selector" . | nindent 4 }}
    app.kubernetes.io/component: coordinator
  ports:
    - {name: grpc, port: {{ .Values.coordinator.port }}, targetPort: grpc}
{{- end -}}
