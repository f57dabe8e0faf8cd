{{- define "chaptercast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for what is put behind it: `-generator`, `-migrate`. */}}
{{- define "chaptercast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "chaptercast.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of (dict "root" $ "component" "node"): what selects its pods. It must never change. */}}
{{- define "chaptercast.selector" -}}
app.kubernetes.io/name: {{ include "chaptercast.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "chaptercast.labels" -}}
{{ include "chaptercast.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Whether there may be more than one node: "yes" or nothing. */}}
{{- define "chaptercast.several" -}}
{{- if or (and .Values.autoscaling.enabled (gt (int .Values.autoscaling.maxReplicas) 1)) (and (not .Values.autoscaling.enabled) (gt (int .Values.replicas) 1)) -}}
yes
{{- end -}}
{{- end -}}

{{/* Whether later requests of a session may reach another node: "yes" or nothing. */}}
{{- define "chaptercast.websocketOnly" -}}
{{- $keeps := and .Values.ingress.enabled (has .Values.ingress.kind (list "haproxy" "haproxy-ingress")) -}}
{{- if and (include "chaptercast.several" .) (not $keeps) -}}
yes
{{- end -}}
{{- end -}}

{{/* A setting as text: YAML knows large numbers as fractions. */}}
{{- define "chaptercast.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/*
Of (dict "root" $ "settings" (list {…} …) "secrets" (list {…} …)): the environment of a container. What comes later in
a list wins, an empty value too; a secret wins over a setting.
*/}}
{{- define "chaptercast.env" -}}
{{- $settings := dict }}
{{- range $map := .settings }}{{ range $name, $value := $map }}{{ $_ := set $settings $name $value }}{{ end }}{{ end }}
{{- $secrets := dict }}
{{- range $map := .secrets }}{{ range $name, $from := $map }}{{ $_ := set $secrets $name $from }}{{ end }}{{ end }}
{{- $files := .root.Values.secretFiles }}
- name: NODE_ENV
  value: production
- name: PORT
  value: '8000'
{{- range $name, $value := $settings }}
{{- if not (or (hasKey $secrets $name) (hasKey $files $name)) }}
- name: {{ $name }}
  value: {{ include "chaptercast.text" $value | quote }}
{{- end }}
{{- end }}
{{- range $name, $from := $secrets }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.name }}
      key: {{ $from.key }}
{{- end }}
{{- range $name, $from := $files }}
- name: {{ $name }}
  value: /secrets/{{ $name }}
{{- end }}
{{- end -}}

{{/* What all pods have: of (dict "root" $). */}}
{{- define "chaptercast.pod" -}}
automountServiceAccountToken: false
# Else a service of this namespace could set a variable that is a setting.
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- if .root.Values.secretFiles }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- range $name, $from := .root.Values.secretFiles }}
        - secret:
            name: {{ $from.name }}
            items:
              - key: {{ $from.key }}
                path: {{ $name }}
        {{- end }}
  {{- end }}
  {{- with .root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* What all containers have: of (dict "root" $). */}}
{{- define "chaptercast.container" -}}
image: {{ printf "%s:%s" .root.Values.image.repository (default .root.Chart.AppVersion .root.Values.image.tag) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if .root.Values.secretFiles }}
  - name: secrets
    mountPath: /secrets
    readOnly: true
  {{- end }}
  {{- with .root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Longer than the server takes, so that it is never killed while it leaves. */}}
{{- define "chaptercast.graceSeconds" -}}
{{- $ms := int (default 10000 .Values.settings.SHUTDOWN_TIMEOUT_MS) -}}
{{- add (div (add $ms 999) 1000) 5 -}}
{{- end -}}

{{/* What the server would refuse at start is refused here, all at once. */}}
{{- define "chaptercast.check" -}}
{{- $problems := list -}}
{{- $has := merge (dict) .Values.settings .Values.secrets .Values.secretFiles -}}
{{- if not (hasKey $has "DATABASE_URL") -}}
{{- $problems = append $problems "secrets.DATABASE_URL is missing: pods keep no data, so the database must be elsewhere" -}}
{{- end -}}
{{- if not (or (hasKey $has "WEBHOOK_SECRET") (hasKey $has "WEBHOOK_SECRET_FILE")) -}}
{{- $problems = append $problems "secrets.WEBHOOK_SECRET (or secretFiles.WEBHOOK_SECRET_FILE) is missing: anyone could write chapters" -}}
{{- end -}}
{{- if and (include "chaptercast.several" .) (not (hasKey $has "REDIS_URL")) -}}
{{- $problems = append $problems "secrets.REDIS_URL is missing: several nodes tell each other by Redis what happened" -}}
{{- end -}}
{{- if and .Values.generator.enabled (not (hasKey $has "KAFKA_BROKERS")) -}}
{{- $problems = append $problems "generator.enabled needs settings.KAFKA_BROKERS: without Kafka the nodes generate by themselves" -}}
{{- end -}}
{{- if ge (int (default 0 .Values.settings.DRAIN_DELAY_MS)) (int (default 10000 .Values.settings.SHUTDOWN_TIMEOUT_MS)) -}}
{{- $problems = append $problems "settings.DRAIN_DELAY_MS must be shorter than settings.SHUTDOWN_TIMEOUT_MS" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- $problems = append $problems "autoscaling.minReplicas must not be greater than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n- %s" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}

{{/* What every pod may reach: DNS, and what the values say. */}}
{{- define "chaptercast.egress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
