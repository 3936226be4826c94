{{/* What happens to a training that nobody serves. Values of an older chart (--reuse-values) do not say so. */}}
{{- define "yolo.unservedAction" -}}
{{- (.Values.unserved).action | default "Warn" -}}
{{- end }}

{{/* Whether this release makes the policy that tells of namespaces without an operator: where the definition is, once. */}}
{{- define "yolo.tellsUnserved" -}}
{{- if and .Values.crds.enabled .Values.rbac.create (ne (include "yolo.unservedAction" .) "Off") -}}
true
{{- end -}}
{{- end }}

{{/* The account that releases let `serve` where they do. It need not exist, and the same in all releases. */}}
{{- define "yolo.markerNamespace" -}}yolo-operator{{- end }}
{{- define "yolo.marker" -}}serves-here{{- end }}

{{/*
Fails in our words, before helm does in its own, where objects of this release are there already and belong to another.
Where nothing can be looked up (`helm template`, GitOps, a dry run) nothing is found.
*/}}
{{- define "yolo.checkOwnership" -}}
{{- $wanted := list -}}
{{- if .Values.crds.enabled -}}
{{- $share := "crds.enabled=false" -}}
{{- $wanted = append $wanted (list "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "yolotrainings.yolo.training" $share) -}}
{{- $policies := list "yolotrainings-edits" -}}
{{- if include "yolo.tellsUnserved" . -}}
{{- $policies = append $policies "yolotrainings-served" -}}
{{- end -}}
{{- range $policy := $policies -}}
{{- range list "ValidatingAdmissionPolicy" "ValidatingAdmissionPolicyBinding" -}}
{{- $wanted = append $wanted (list "admissionregistration.k8s.io/v1" . "" $policy $share) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.gpuAgent.enabled .Values.gpuAgent.createNamespace -}}
{{- $wanted = append $wanted (list "v1" "Namespace" "" .Values.gpuAgent.namespace "gpuAgent.createNamespace=false") -}}
{{- end -}}
{{- range $volume := list "data" "runs" -}}
{{- $claim := get $.Values.storage $volume -}}
{{- if not $claim.existingClaim -}}
{{- $share := printf "storage.%s.existingClaim=%s" $volume $claim.claimName -}}
{{- $wanted = append $wanted (list "v1" "PersistentVolumeClaim" $.Release.Namespace $claim.claimName $share) -}}
{{- end -}}
{{- end -}}
{{- $there := list -}}
{{- $share := list -}}
{{- $takeOver := list -}}
{{- range $wanted -}}
{{- $marks := include "yolo.foreignOwner" (prepend . $) -}}
{{- if $marks -}}
{{- $there = append $there (printf "  %s %s, of %s" (index . 1) (index . 3) $marks) -}}
{{- $share = append $share (printf "--set %s" (index . 4)) -}}
{{- $takeOver = append $takeOver (printf "%s/%s" (lower (index . 1)) (index . 3)) -}}
{{- end -}}
{{- end -}}
{{- if $there -}}
{{- $objects := join " " $takeOver -}}
{{- $annotate := printf "  kubectl -n %s annotate --overwrite %s meta.helm.sh/release-name=%s meta.helm.sh/release-namespace=%s" .Release.Namespace $objects .Release.Name .Release.Namespace -}}
{{- $label := printf "  kubectl -n %s label --overwrite %s app.kubernetes.io/managed-by=Helm" .Release.Namespace $objects -}}
{{- fail (printf "\n\nRelease %s would make what is there already and is not its own:\n%s\nTo share it, as a second release does, install with\n  %s\nTo take it over, where its release is gone:\n%s\n%s\n" .Release.Name (join "\n" $there) (join " " (uniq $share)) $annotate $label) -}}
{{- end -}}
{{- end }}

{{/* Whose an object is that is there and is not this release's; else empty. Call with (list $ <apiVersion> <kind> <namespace> <name>). */}}
{{- define "yolo.foreignOwner" -}}
{{- $root := index . 0 -}}
{{- $found := lookup (index . 1) (index . 2) (index . 3) (index . 4) -}}
{{- if $found -}}
{{- $marks := $found.metadata.annotations | default dict -}}
{{- $release := get $marks "meta.helm.sh/release-name" -}}
{{- $namespace := get $marks "meta.helm.sh/release-namespace" -}}
{{- if not $release -}}
no helm release
{{- else if or (ne $release $root.Release.Name) (ne $namespace $root.Release.Namespace) -}}
release {{ $release }} in namespace {{ $namespace }}
{{- end -}}
{{- end -}}
{{- end }}
