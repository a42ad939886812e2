{{- define "balancefleet.name" -}}
{{- .Values.nameOverride | default "balancefleet-operator" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* The release "balancefleet" becomes balancefleet-operator, "payments" payments-balancefleet-operator. */ -}}
{{- define "balancefleet.fullname" -}}
{{- $name := include "balancefleet.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if or (eq .Release.Name .Chart.Name) (eq .Release.Name $name) -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "balancefleet.selectorLabels" -}}
app.kubernetes.io/name: {{ include "balancefleet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "balancefleet.labels" -}}
{{ include "balancefleet.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* One map: a label in both of the user's would be a key twice. */ -}}
{{- define "balancefleet.podLabels" -}}
{{- toYaml (mergeOverwrite (include "balancefleet.labels" . | fromYaml) .Values.podLabels) -}}
{{- end -}}

{{- /* Never the account `default`, which every pod of the namespace without an account of its own runs as. */ -}}
{{- define "balancefleet.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "balancefleet.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.create is false: name the account to use in serviceAccount.name" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* In: a list of the image's values and the chart's appVersion. */ -}}
{{- define "balancefleet.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default (index . 1)) -}}
{{- end -}}
{{- end -}}

{{- /* Duplicate names in env are undefined; each of these has a value of its own. */ -}}
{{- define "balancefleet.extraEnv" -}}
{{- $own := dict "WORKER_IMAGE" "workerImage" "WATCH_NAMESPACES" "watchNamespaces" "LOG_LEVEL" "log.level" "LOG_FORMAT" "log.format" -}}
{{- range .Values.extraEnv -}}
{{- if eq .name "POD_NAME" }}{{ fail "extraEnv may not set POD_NAME: it is the name of the operator's own pod" }}{{ end -}}
{{- if hasKey $own .name }}{{ fail (printf "extraEnv may not set %s: use the value %s" .name (get $own .name)) }}{{ end -}}
{{- end -}}
{{- toYaml .Values.extraEnv -}}
{{- end -}}

{{- /* Everything the operator may do, rule by rule. Bound in the whole cluster, or only in watchNamespaces. */ -}}
{{- define "balancefleet.rules" -}}
# The objects served. The operator never changes a spec.
- apiGroups: [balancefleet.io]
  resources: [balanceconsumergroups]
  verbs: [list, watch]
# What it saw and decided.
- apiGroups: [balancefleet.io]
  resources: [balanceconsumergroups/status]
  verbs: [patch]
# Children block their owner's deletion. Where the API server checks that (OpenShift does), it asks for this right, and
# for delete on a child whose owner is written anew; of all children the operator deletes only ServiceAccounts itself.
- apiGroups: [balancefleet.io]
  resources: [balanceconsumergroups/finalizers]
  verbs: [update]
# The workers.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# How the workers find each other, how clients find them, and whom they run as.
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
# How many workers a node drain may take at once.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Which worker is which member of the group; patched only to say which one leaves first.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
# Logins and certificates that an object names, one by one: never a list, never a watch.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
# What happened to an object, for kubectl describe.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
