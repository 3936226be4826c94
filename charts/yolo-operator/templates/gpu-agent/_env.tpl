{{/* The agent's environment, as a list; what the values give under the same name wins. */}}
{{- define "yolo.gpuAgentEnv" -}}
{{- $given := list -}}
{{- range .Values.gpuAgent.extraEnv }}{{- $given = append $given .name -}}{{- end -}}
{{- $env := .Values.gpuAgent.extraEnv | default list -}}
{{- $own := dict "YOLO_GPU_AGENT_PORT" "8085" "YOLO_GPU_AGENT_LOG_LEVEL" .Values.gpuAgent.logLevel -}}
{{- $_ := set $own "YOLO_GPU_AGENT_POD_RESOURCES_SOCKET" "/var/lib/kubelet/pod-resources/kubelet.sock" -}}
{{- /* What NVIDIA's container runtime reads: NVML for all GPUs, without asking for any. */ -}}
{{- $_ := set $own "NVIDIA_VISIBLE_DEVICES" "all" -}}
{{- $_ := set $own "NVIDIA_DRIVER_CAPABILITIES" "utility" -}}
{{- range $name, $value := $own -}}
{{- if not (has $name $given) }}{{- $env = append $env (dict "name" $name "value" $value) -}}{{- end -}}
{{- end -}}
{{- toYaml $env -}}
{{- end }}
