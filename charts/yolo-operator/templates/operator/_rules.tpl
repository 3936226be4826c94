{{/* How long a run's last Job is kept. Values of an older chart (--reuse-values) do not say so. */}}
{{- define "yolo.keepFinishedJobSeconds" -}}
{{- $seconds := .Values.operator.keepFinishedJobSeconds -}}
{{- ternary 3600 $seconds (kindIs "invalid" $seconds) | int64 -}}
{{- end }}

{{/* What the operator may do where it serves: RBAC in operator/yolo_operator/kube.py. */}}
{{- define "yolo.operatorRules" -}}
- apiGroups: [yolo.training]
  resources: [yolotrainings]
  verbs: [get, list, watch, delete]
- apiGroups: [yolo.training]
  resources: [yolotrainings/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
- apiGroups: [""]
  resources: [services]
  verbs: [get, create]
{{- if .Values.networkPolicy.enabled }}
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, create]
{{- end }}
{{- if .Values.rbac.kueue }}
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
- apiGroups: [visibility.kueue.x-k8s.io]
  resources: [localqueues/pendingworkloads]
  verbs: [get]
{{- end }}
{{- end }}
