{{/* Names. All objects of a release begin with this one, a Service's too, which Helm's rule for releases is wider than. */}}
{{- define "yolo.fullname" -}}
{{- $name := .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- $other := regexReplaceAll "^[^a-z]+|[^-a-z0-9]" $name "" -}}
{{- fail (printf "release name %s: objects get this name, and a Service's begins with a letter and has no dot. Choose another one, or --set fullnameOverride=%s" .Release.Name ($other | default "yolo")) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{/* Name of a component's ServiceAccount. Call with (list $ "api"). */}}
{{- define "yolo.serviceAccountName" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $account := (get $root.Values $component).serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (printf "%s-%s" (include "yolo.fullname" $root) $component) -}}
{{- else -}}
{{- required (printf "%s.serviceAccount.name: needed because %s.serviceAccount.create is false" $component $component) $account.name -}}
{{- end -}}
{{- end }}

{{/* Name of a volume's claim. Call with (list $ "data"). */}}
{{- define "yolo.claimName" -}}
{{- $root := index . 0 -}}
{{- $claim := get $root.Values.storage (index . 1) -}}
{{- $claim.existingClaim | default $claim.claimName -}}
{{- end }}

{{/* Name of a cluster-wide object: releases of one name may live in several namespaces. Call with (list $ "suffix"). */}}
{{- define "yolo.clusterName" -}}
{{- $root := index . 0 -}}
{{- printf "%s:%s:%s" $root.Release.Namespace (include "yolo.fullname" $root) (index . 1) -}}
{{- end }}

{{/* Name of an object in a served namespace that a façade-only release there, maybe of the same name, makes too. A further
namespace's has a dot, which no such release's can have. Call with (list $ namespace "suffix"). */}}
{{- define "yolo.servedName" -}}
{{- $root := index . 0 -}}
{{- $from := ternary "" (printf "%s." $root.Release.Namespace) (eq (index . 1) $root.Release.Namespace) -}}
{{- printf "%s%s-%s" $from (include "yolo.fullname" $root) (index . 2) -}}
{{- end }}

{{/* Namespaces with trainings, as JSON; [] means all. Values of an older chart (--reuse-values) have no ownNamespace. */}}
{{- define "yolo.servedNamespaces" -}}
{{- if eq .Values.operator.scope "cluster" -}}
[]
{{- else -}}
{{- $others := and .Values.operator.enabled (eq (toString .Values.operator.ownNamespace) "false") -}}
{{- $own := ternary list (list .Release.Namespace) $others -}}
{{- $served := concat $own (.Values.operator.namespaces | default list) | uniq -}}
{{- if not $served -}}
{{- fail "operator.ownNamespace: false, but operator.namespaces is empty, so that the operator would serve none. Name at least one there, or set operator.enabled=false." -}}
{{- end -}}
{{- $served | toJson -}}
{{- end -}}
{{- end }}

{{/* Labels by which a component's pods are found; never change. Call with (list $ "api"). */}}
{{- define "yolo.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object. Call with (list $ "api"). */}}
{{- define "yolo.labels" -}}
{{- $root := index . 0 -}}
{{ include "yolo.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of a component's pods; the selector's win over those of the values. Call with (list $ "api" .Values.api.podLabels). */}}
{{- define "yolo.podLabels" -}}
{{- $selector := include "yolo.selectorLabels" . | fromYaml -}}
{{- merge $selector ((index . 2) | default dict) ((index . 0).Values.commonLabels | default dict) | toYaml -}}
{{- end }}

{{/* What keeps meshes and Vault from putting containers into pods that end: the operator's `injection.py`. */}}
{{- define "yolo.sidecarOptOut" -}}
{{- if .Values.trainer.refuseSidecars -}}
labels:
  sidecar.istio.io/inject: "false"
  istio.io/dataplane-mode: none
  kuma.io/sidecar-injection: disabled
annotations:
  sidecar.istio.io/inject: "false"
  linkerd.io/inject: disabled
  consul.hashicorp.com/connect-inject: "false"
  vault.hashicorp.com/agent-inject: "false"
{{- else -}}
labels: {}
annotations: {}
{{- end -}}
{{- end }}

{{/* Image reference of a component. Call with (list $ "trainer"). */}}
{{- define "yolo.image" -}}
{{- $root := index . 0 -}}
{{- $image := (get $root.Values (index . 1)).image -}}
{{- with $root.Values.image.registry -}}{{ . | trimSuffix "/" }}/{{- end -}}
{{- $image.repository -}}
{{- if $image.digest -}}
@{{ $image.digest }}
{{- else -}}
:{{ $image.tag | default $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* A quantity as text. Helm reads every number of a values file as a float, which it would print as 1.6e+10. */}}
{{- define "yolo.quantity" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- ternary "" . (kindIs "invalid" .) -}}
{{- end -}}
{{- end }}

{{/* What a container may do: nothing beyond its own process. */}}
{{- define "yolo.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Who a pod is and where it may run. Call with (list $ "api" <node labels besides the component's own>). */}}
{{- define "yolo.podBasics" -}}
{{- $root := index . 0 -}}
# Without: the Service <name>-api of a release `yolo` would appear as YOLO_API_PORT=tcp://… in every pod.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with $root.Values.podSecurity.runAsUser }}
  runAsUser: {{ . | int64 }}
  {{- end }}
  {{- with $root.Values.podSecurity.runAsGroup }}
  runAsGroup: {{ . | int64 }}
  fsGroup: {{ . | int64 }}
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- include "yolo.podPlacement" . }}
{{- end }}

{{/* Where a pod may run, and whose images it may pull. Called as yolo.podBasics, which has it in it. */}}
{{- define "yolo.podPlacement" -}}
{{- $root := index . 0 -}}
{{- $component := get $root.Values (index . 1) -}}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with $component.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with merge (dict) ($component.nodeSelector | default dict) ((index . 2) | default dict) }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Fails where the two volumes cannot be shared by all pods that need them. */}}
{{- define "yolo.checkStorage" -}}
{{- range $volume := list "data" "runs" -}}
{{- $claim := get $.Values.storage $volume -}}
{{- if and (not (has "ReadWriteMany" $claim.accessModes)) (not $.Values.storage.nodeSelector) -}}
{{- fail (printf "storage.%s.accessModes: %s is ReadWriteOnce, a volume that only pods of one node can share, but storage.nodeSelector is empty. Name that node there, such as --set storage.nodeSelector.kubernetes\\\\.io/hostname=NODE, or use ReadWriteMany." $volume (include "yolo.claimName" (list $ $volume))) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What prepare may fetch, as the JSON that operator and façade read; empty where that is nothing. */}}
{{- define "yolo.fetch" -}}
{{- $fetch := .Values.fetch -}}
{{- if or $fetch.ucdServer $fetch.archives.enabled -}}
{{- $settings := dict "archives" $fetch.archives.enabled "archiveHosts" ($fetch.archives.hosts | default list) -}}
{{- $_ := set $settings "parallel" ($fetch.parallel | int64) -}}
{{- $_ := set $settings "maxImageBytes" ($fetch.maxImageBytes | int64) -}}
{{- $_ := set $settings "maxArchiveBytes" ($fetch.archives.maxBytes | int64) -}}
{{- with $fetch.ucdServer -}}{{- $_ := set $settings "ucdServer" . -}}{{- end -}}
{{- $settings | toJson -}}
{{- end -}}
{{- end }}

{{/* Host and port of the GPU agents that the façade asks; empty where there are none. */}}
{{- define "yolo.gpuAgents" -}}
{{- if .Values.api.gpuAgents -}}
{{- .Values.api.gpuAgents -}}
{{- else if .Values.gpuAgent.enabled -}}
{{- printf "%s-gpu-agent.%s.svc:8085" (include "yolo.fullname" .) .Values.gpuAgent.namespace -}}
{{- end -}}
{{- end }}
