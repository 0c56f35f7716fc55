{{- define "keystead.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "keystead.peerService" -}}
{{ include "keystead.fullname" . }}-peers
{{- end -}}

{{- define "keystead.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "keystead.memberSelector" -}}
{{ include "keystead.selector" . }}
app.kubernetes.io/component: member
{{- end -}}

{{- define "keystead.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "keystead.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "keystead.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The domain of the members: <pod>.<this>. */}}
{{- define "keystead.peerDomain" -}}
{{ include "keystead.peerService" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}

{{- define "keystead.clientScheme" -}}
{{ ternary "https" "http" .Values.tls.client.enabled }}
{{- end -}}

{{- define "keystead.peerScheme" -}}
{{ ternary "https" "http" .Values.tls.peer.enabled }}
{{- end -}}

{{/* <name>=<peer URL>,... of the members that a new cluster starts with. */}}
{{- define "keystead.initialCluster" -}}
{{- $members := list -}}
{{- range $ordinal := until (int .Values.initialReplicas) -}}
{{- $name := printf "%s-%d" (include "keystead.fullname" $) $ordinal -}}
{{- $members = append $members (printf "%s=%s://%s.%s:2380" $name (include "keystead.peerScheme" $) $name (include "keystead.peerDomain" $)) -}}
{{- end -}}
{{- join "," $members -}}
{{- end -}}

{{/* The URL for clients in the Kubernetes cluster. */}}
{{- define "keystead.clientUrl" -}}
{{ include "keystead.clientScheme" . }}://{{ include "keystead.fullname" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:2379
{{- end -}}

{{/* The client URLs of all members. */}}
{{- define "keystead.memberUrls" -}}
{{- $urls := list -}}
{{- range $ordinal := until (int .Values.replicas) -}}
{{- $urls = append $urls (printf "%s://%s-%d.%s:2379" (include "keystead.clientScheme" $) (include "keystead.fullname" $) $ordinal (include "keystead.peerDomain" $)) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}

{{- define "keystead.clientSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{ include "keystead.fullname" . }}-server-tls
{{- else -}}
{{ .Values.tls.client.secretName }}
{{- end -}}
{{- end -}}

{{- define "keystead.peerSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{ include "keystead.fullname" . }}-peer-tls
{{- else -}}
{{ .Values.tls.peer.secretName }}
{{- end -}}
{{- end -}}

{{/* The secret of the chart's own clients: backup, scale down, tests. */}}
{{- define "keystead.jobSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{ include "keystead.fullname" . }}-client-tls
{{- else -}}
{{ default .Values.tls.client.secretName .Values.tls.client.jobSecretName }}
{{- end -}}
{{- end -}}

{{/* Flags of the chart's own clients. */}}
{{- define "keystead.jobFlags" -}}
- --endpoints={{ include "keystead.memberUrls" . }}
{{- with include "keystead.clientTlsFlags" . }}
{{ . }}
{{- end }}
{{- end -}}

{{- define "keystead.clientTlsFlags" -}}
{{- if .Values.tls.client.enabled -}}
- --cacert=/etc/keystead/client/ca.crt
- --cert=/etc/keystead/client/tls.crt
- --key=/etc/keystead/client/tls.key
{{- end -}}
{{- end -}}

{{- define "keystead.jobEnv" -}}
{{- with .Values.auth.jobSecretName -}}
- name: ETCDCTL_USER
  valueFrom: { secretKeyRef: { name: {{ . | quote }}, key: username } }
- name: ETCDCTL_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ . | quote }}, key: password } }
{{- end -}}
{{- end -}}

{{- define "keystead.jobMounts" -}}
{{- if .Values.tls.client.enabled -}}
- name: client-tls
  mountPath: /etc/keystead/client
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "keystead.jobVolumes" -}}
{{- if .Values.tls.client.enabled -}}
- name: client-tls
  secret:
    secretName: {{ include "keystead.jobSecret" . }}
    defaultMode: 0440
{{- end -}}
{{- end -}}

{{/* A Kubernetes quantity in bytes. */}}
{{- define "keystead.bytes" -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "P" 1000000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- $text := toString . -}}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?([kMGTP]|[KMGTP]i)?$" $text) -}}
{{- fail (printf "persistence.size %q is not a size such as 8Gi" $text) -}}
{{- end -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- mulf (float64 (trimSuffix $unit $text)) (get $units $unit) | int64 -}}
{{- end -}}

{{/* Values that the schema cannot check. */}}
{{- define "keystead.check" -}}
{{- $replicas := int .Values.replicas -}}
{{- $initial := int .Values.initialReplicas -}}
{{- if and (eq (mod $replicas 2) 0) (not .Values.allowEvenReplicas) -}}
{{- fail (printf "replicas is %d: use an odd number, because %d members survive no more failures than %d; allowEvenReplicas=true accepts it" $replicas $replicas (sub $replicas 1)) -}}
{{- end -}}
{{- if gt $initial $replicas -}}
{{- fail (printf "initialReplicas (%d) is larger than replicas (%d): a new cluster could not start. For a new cluster of %d set initialReplicas=%d" $initial $replicas $replicas $replicas) -}}
{{- end -}}
{{- if .Values.persistence.enabled -}}
{{- $size := include "keystead.bytes" .Values.persistence.size | int64 -}}
{{- $quota := int64 .Values.quotaBackendBytes -}}
{{- $needed := add (mul 2 $quota) 1073741824 -}}
{{- if lt $size $needed -}}
{{- fail (printf "persistence.size is %s (%d bytes), but quotaBackendBytes=%d needs %d bytes: twice the quota, because a member that receives a snapshot holds two copies, and 1 GiB for the log and the reserve" (toString .Values.persistence.size) $size $quota $needed) -}}
{{- end -}}
{{- end -}}
{{- range $kind := list "client" "peer" -}}
{{- $tls := get $.Values.tls $kind -}}
{{- if and $tls.enabled (not $tls.secretName) (not $.Values.tls.certManager.enabled) -}}
{{- fail (printf "tls.%s.enabled needs tls.%s.secretName or tls.certManager.enabled" $kind $kind) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.client.enabled) (not .Values.tls.peer.enabled) -}}
{{- fail "tls.certManager.enabled makes certificates for tls.client.enabled and tls.peer.enabled, but both are false" -}}
{{- end -}}
{{- end -}}
