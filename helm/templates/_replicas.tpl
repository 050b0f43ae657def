{{- define "millrace.replicas" -}}
{{- if eq .Values.replicas.kind "statefulset" }}
{{- include "millrace.statefulset" . }}
{{- else }}
{{- include "millrace.leaderworkerset" . }}
{{- end }}
{{- end -}}

{{/* How many. An autoscaler's number stays as it is: an upgrade that named none would set it to one. */}}
{{- define "millrace.replicaCount" -}}
{{- $count := .Values.replicas.count -}}
{{- if ne .Values.autoscaling.kind "none" -}}
{{- $statefulset := eq .Values.replicas.kind "statefulset" -}}
{{- $present := lookup (ternary "apps/v1" "leaderworkerset.x-k8s.io/v1" $statefulset) (ternary "StatefulSet" "LeaderWorkerSet" $statefulset) .Release.Namespace (printf "%s-replica" (include "millrace.fullname" .)) -}}
{{- $count = dig "spec" "replicas" .Values.autoscaling.minReplicas (default dict $present) -}}
{{- $count = max $count .Values.autoscaling.minReplicas -}}
{{- end -}}
{{- int64 $count -}}
{{- end -}}

{{- define "millrace.replicaEnv" -}}
- {name: MILLRACE_MODEL, value: {{ include "millrace.modelPath" .root | quote }}}
- {name: MILLRACE_COORDINATOR, value: "{{ include "millrace.fullname" .root }}-replicas:{{ .root.Values.coordinator.port }}"}
- {name: MILLRACE_THREADS, value: {{ .root.Values.replicas.threads | quote }}}
- {name: MILLRACE_BACKEND, value: {{ .root.Values.replicas.backend | quote }}}
- {name: MILLRACE_BATCH_TOKENS, value: {{ .root.Values.replicas.batchTokens | int64 | quote }}}
- {name: MILLRACE_MAX_SEQUENCES, value: {{ .root.Values.replicas.maxSequences | quote }}}
- {name: MILLRACE_LOG_FORMAT, value: {{ .root.Values.coordinator.logFormat | quote }}}
- {name: HOME, value: /tmp}
- name: MILLRACE_REPLICA
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- include "millrace.clientEnv" .root }}
{{- with .pod.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "millrace.replicaResources" -}}
{{- $replicas := .Values.replicas -}}
{{- $resources := deepCopy $replicas.resources -}}
{{- $limits := default dict $resources.limits -}}
{{- if gt (int $replicas.gpus) 0 -}}
{{- $_ := set $limits $replicas.gpuResource (int $replicas.gpus) -}}
{{- end -}}
{{- with $replicas.rdma.resource -}}
{{- $_ := set $limits . (int $replicas.rdma.count) -}}
{{- end -}}
{{- $_ := set $resources "limits" $limits -}}
{{ toYaml $resources }}
{{- end -}}

{{/* .root, .pod */}}
{{- define "millrace.replicaSecurity" -}}
{{- $security := deepCopy .pod.securityContext -}}
{{- if .root.Values.replicas.rdma.ipcLock -}}
{{- $capabilities := default dict $security.capabilities -}}
{{- $_ := set $capabilities "add" (append (default list $capabilities.add) "IPC_LOCK" | uniq) -}}
{{- $_ := set $security "capabilities" $capabilities -}}
{{- end -}}
{{ toYaml $security }}
{{- end -}}

{{- define "millrace.replicaVolumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 1Gi}}
- {name: shm, emptyDir: {medium: Memory, sizeLimit: {{ .root.Values.replicas.sharedMemory }}}}
{{- include "millrace.modelVolume" .root }}
{{- include "millrace.secretVolumes" (dict "root" .root "key" "replica-token") }}
{{- with .pod.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "millrace.replicaMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: shm, mountPath: /dev/shm}
{{- include "millrace.modelMount" (dict "root" .root "readOnly" true) }}
{{- include "millrace.secretMounts" .root }}
{{- with .pod.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of the container that runs mpirun. Its file is there when all ranks have loaded, and its time is renewed while they move. */}}
{{- define "millrace.replicaProbes" -}}
startupProbe:
  exec: {command: [test, -e, /tmp/ready]}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ div (add (int .Values.replicas.startupSeconds) 4) 5 }}
{{- with .Values.replicas.hungSeconds }}
livenessProbe: # a rank that dies ends process 1 by itself
  exec: {command: [/usr/share/millrace/deploy/alive.sh, /tmp/ready, {{ . | quote }}]}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}
readinessProbe: # one that the coordinator has given up is not ready: a budget must not count on it
  exec: {command: [/usr/share/millrace/deploy/alive.sh, /tmp/ready, {{ add (int .Values.coordinator.replicaTimeoutSeconds) 5 | quote }}]}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{/* .root and .values, to the arguments of what makes a replica's pod. */}}
{{- define "millrace.replicaAnnotations" -}}
{{- with .Values.replicas.rdma.networks }}
k8s.v1.cni.cncf.io/networks: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "millrace.hostNetwork" -}}
{{- if .Values.replicas.hostNetwork }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- end -}}

{{- define "millrace.statefulset" -}}
{{- $pod := include "millrace.podValues" (dict "root" . "values" .Values.replicas) | fromYaml }}
{{- $args := dict "root" . "pod" $pod "component" "replica" "graceSeconds" (add (int .Values.replicas.drainSeconds) 15) "annotations" (include "millrace.replicaAnnotations" . | fromYaml) }}
---
# The StatefulSet's: it gives its pods their names.
apiVersion: v1
kind: Service
metadata:
  name: {{ include "millrace.fullname" . }}-replica
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  clusterIP: None
  selector:
    {{- include "millrace.selector" . | nindent 4 }}
    app.kubernetes.io/component: replica
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "millrace.fullname" . }}-replica
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
    app.kubernetes.io/component: replica
spec:
  serviceName: {{ include "millrace.fullname" . }}-replica
  replicas: {{ include "millrace.replicaCount" . }}
  podManagementPolicy: Parallel
  # One after the other: the next is drained when the one before is ready again.
  updateStrategy: {type: RollingUpdate}
  selector:
    matchLabels:
      {{- include "millrace.selector" . | nindent 6 }}
      app.kubernetes.io/component: replica
  template:
    metadata:
      {{- include "millrace.podMeta" $args | nindent 6 }}
    spec:
      {{- include "millrace.podSpec" $args | nindent 6 }}
      {{- include "millrace.hostNetwork" . | nindent 6 }}
      {{- include "millrace.initContainers" $args | nindent 6 }}
      containers:
        - name: replica
          # Process 1 turns SIGTERM into a drain; when a rank dies mpirun ends them all, and the kubelet starts the replica again.
          command: {{ concat (list "/usr/share/millrace/deploy/replica.sh" "mpirun" "--bind-to" "none" "--oversubscribe" "-n" (.Values.replicas.ranks | toString) "millrace-worker") .Values.replicas.extraArgs | toJson }}
          {{- include "millrace.container" $args | nindent 10 }}
          env:
            {{- include "millrace.replicaEnv" $args | nindent 12 }}
            - {name: MILLRACE_READY_FILE, value: /tmp/ready}
          {{- include "millrace.replicaProbes" . | nindent 10 }}
          securityContext: {{- include "millrace.replicaSecurity" $args | nindent 12 }}
          resources: {{- include "millrace.replicaResources" . | nindent 12 }}
          volumeMounts: {{- include "millrace.replicaMounts" $args | nindent 12 }}
        {{- with $pod.sidecars }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes: {{- include "millrace.replicaVolumes" $args | nindent 8 }}
{{- end -}}

{{- define "millrace.leaderworkerset" -}}
{{- $perPod := div (int .Values.replicas.ranks) (int .Values.replicas.pods) }}
{{- if ne (mul $perPod (int .Values.replicas.pods)) (int .Values.replicas.ranks) }}
{{- fail "replicas.ranks must be a multiple of replicas.pods" }}
{{- end }}
{{- $pod := include "millrace.podValues" (dict "root" . "values" .Values.replicas) | fromYaml }}
---
# A group of pods is one replica: the first runs mpirun, which starts ranks in the others through sshd on port 2222.
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata:
  name: {{ include "millrace.fullname" . }}-replica
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
    app.kubernetes.io/component: replica
  {{- with .Values.replicas.exclusiveTopology }}
  annotations: {leaderworkerset.sigs.k8s.io/exclusive-topology: {{ . }}}
  {{- end }}
spec:
  replicas: {{ include "millrace.replicaCount" . }}
  startupPolicy: LeaderCreated
  rolloutStrategy: {type: RollingUpdate, rollingUpdateConfiguration: {maxUnavailable: 1}}
  leaderWorkerTemplate:
    size: {{ .Values.replicas.pods }}
    restartPolicy: RecreateGroupOnPodRestart # a rank that dies takes its replica down
    {{- range $role := list "leaderTemplate" "workerTemplate" }}
    {{- with $ }}
    {{- $args := dict "root" . "pod" $pod "component" "replica" "graceSeconds" (add (int .Values.replicas.drainSeconds) 15) "annotations" (include "millrace.replicaAnnotations" . | fromYaml) }}
    {{ $role }}:
      metadata:
        {{- include "millrace.podMeta" $args | nindent 8 }}
      spec:
        {{- include "millrace.podSpec" $args | nindent 8 }}
        {{- include "millrace.hostNetwork" . | nindent 8 }}
        {{- include "millrace.initContainers" $args | nindent 8 }}
        containers:
          - name: replica
            {{- if eq $role "leaderTemplate" }}
            command: {{ concat (list "/usr/share/millrace/deploy/group-leader.sh" (.Values.replicas.ranks | toString) ($perPod | toString)) .Values.replicas.extraArgs | toJson }}
            {{- else }}
            command: [/usr/share/millrace/deploy/group-worker.sh]
            {{- end }}
            {{- include "millrace.container" $args | nindent 12 }}
            env:
              {{- include "millrace.replicaEnv" $args | nindent 14 }}
            {{- if eq $role "leaderTemplate" }}
              - {name: MILLRACE_READY_FILE, value: /tmp/ready}
            {{- include "millrace.replicaProbes" . | nindent 12 }}
            {{- else }}
            ports:
              - {name: ssh, containerPort: 2222}
            readinessProbe: # not the port: sshd logs everyone that hangs up without a word
              exec: {command: [sh, -c, 'kill -0 "$(cat /tmp/sshd/pid)"']}
              periodSeconds: 2
              timeoutSeconds: 5
            livenessProbe:
              exec: {command: [sh, -c, 'kill -0 "$(cat /tmp/sshd/pid)"']}
              initialDelaySeconds: 10
              periodSeconds: 10
              timeoutSeconds: 5
            {{- end }}
            securityContext: {{- include "millrace.replicaSecurity" $args | nindent 14 }}
            resources: {{- include "millrace.replicaResources" . | nindent 14 }}
            volumeMounts:
              {{- include "millrace.replicaMounts" $args | nindent 14 }}
              - {name: ssh, mountPath: /etc/millrace/ssh, readOnly: true}
          {{- with $pod.sidecars }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        volumes:
          {{- include "millrace.replicaVolumes" $args | nindent 10 }}
          - name: ssh
            secret: {secretName: {{ required "replicas.ssh.existingSecret holds id_ed25519 and id_ed25519.pub" .Values.replicas.ssh.existingSecret }}, defaultMode: 0440}
    {{- end }}
    {{- end }}
{{- end -}}
