{{/* What an uninstall does about trainings. Values of an older chart (--reuse-values) do not say so. */}}
{{- define "yolo.uninstallTrainings" -}}
{{- (.Values.uninstall).trainings | default "Tell" -}}
{{- end }}

{{/* Whether a Job sees to trainings before the release goes. It needs an operator's rights, by an account of its own. */}}
{{- define "yolo.farewell" -}}
{{- if and .Values.operator.enabled .Values.rbac.create (ne (include "yolo.uninstallTrainings" .) "Ignore") -}}
true
{{- end -}}
{{- end }}

{{/* Name of what it needs. */}}
{{- define "yolo.farewellName" -}}
{{- printf "%s-farewell" (include "yolo.fullname" .) -}}
{{- end }}

{{/* Made for the uninstall alone, before the Job. */}}
{{- define "yolo.farewellHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: "-1"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end }}

{{/* What it may do where the operator serves: RBAC_FAREWELL in operator/yolo_operator/kube.py. */}}
{{- define "yolo.farewellRules" -}}
- apiGroups: [yolo.training]
  resources: [yolotrainings]
  verbs: [list, patch]
- apiGroups: [yolo.training]
  resources: [yolotrainings/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, create]
{{- end }}
