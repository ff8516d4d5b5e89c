package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// appName is the app's name, and the release's.
const appName = "bench"

// microservice is one of the app's. Each tool gets it in its own form.
type microservice struct {
	name, image, peer, region, level string
	replicas, port, number           int
	cpu, memory                      string
}

func microservices(n int) []microservice {
	name := func(i int) string { return fmt.Sprintf("svc-%04d", i) }
	pick := func(i int, list ...string) string { return list[i%len(list)] }
	var list []microservice
	for i := range n {
		list = append(list, microservice{
			name: name(i), number: i,
			image:    fmt.Sprintf("registry.example.com/team-%d/%s:1.%d.0", i%7, name(i), i%50),
			peer:     "http://" + name((i+1)%n),
			region:   pick(i, "eu-west-1", "us-east-1", "ap-south-1"),
			level:    pick(i, "info", "debug", "warn"),
			replicas: 2 + i%3,
			port:     8080 + i%4,
			cpu:      pick(i, "50m", "100m", "250m"),
			memory:   pick(i, "64Mi", "128Mi", "256Mi"),
		})
	}
	return list
}

// generate writes an app of n microservices, as a definition and as a chart,
// below dir.
func generate(dir string, n int) error {
	list := microservices(n)
	files := map[string]string{
		"cuepod/app.cue":            definition(list),
		"helm/Chart.yaml":           "apiVersion: v2\nname: bench\nversion: 0.1.0\n",
		"helm/values.yaml":          values(list),
		"helm/templates/_all.tpl":   chartTemplate,
		"helm/templates/all.yaml":   chartRange,
		"cuepod/cue.mod/module.cue": "module: \"bench.example@v0\"\nlanguage: version: \"v0.17.0\"\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// definition is the app in CUE: a template for what is the same in all, and
// what is not, as people write it.
func definition(list []microservice) string {
	var b strings.Builder
	b.WriteString(definitionHead)
	for _, m := range list {
		fmt.Fprintf(&b, "\t%q: {image: %q, replicas: %d, port: %d, cpu: %q, memory: %q, number: %d, env: {REGION: %q, LOG_LEVEL: %q, UPSTREAM_URL: %q}}\n",
			m.name, m.image, m.replicas, m.port, m.cpu, m.memory, m.number, m.region, m.level, m.peer)
	}
	b.WriteString("}\n")
	return b.String()
}

const definitionHead = `package bench

import "cuepod.dev/core"

app: core.#App & {
	name: "bench"
	for n, s in services {
		pods: (n): {
			replicas: s.replicas
			containers: main: {
				image: s.image
				ports: http: containerPort: s.port
				env: {
					for k, v in s.env {(k): value: v}
					FEATURE_FLAGS: value: "a,b,f\(s.number)"
					WORKERS: value:       "4"
					DB_PASSWORD: valueFrom: secretKeyRef: {name: "db", key: "password"}
				}
				envFrom: [{configMapRef: name: "\(n)-config"}]
				resources: {requests: {cpu: s.cpu, memory: s.memory}, limits: memory: s.memory}
				livenessProbe: {httpGet: {path: "/healthz", port: "http"}, periodSeconds: 15}
				readinessProbe: {httpGet: {path: "/readyz", port: "http"}, periodSeconds: 5}
			}
			containers: sidecar: {
				image: "registry.example.com/infra/proxy:2.1.0"
				args: ["--upstream=127.0.0.1:\(s.port)"]
				ports: metrics: containerPort: 9090
				resources: {requests: {cpu: "10m", memory: "32Mi"}, limits: memory: "64Mi"}
				readinessProbe: {httpGet: {path: "/ready", port: "metrics"}, periodSeconds: 5}
			}
		}
		services: (n): {
			pod: n
			ports: {http: {port: 80, targetPort: "http"}, metrics: {port: 9090, targetPort: "metrics"}}
		}
		configMaps: "\(n)-config": data: {
			"app.conf":    "listen=:\(s.port)\nname=\(n)\nmode=standard\n"
			"limits.conf": "max_conns=\(100+s.number)\ntimeout=30s\n"
		}
	}
	secrets: db: keys: password: external: true
}

services: {
`

// values are the chart's values: what differs between the microservices.
func values(list []microservice) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for _, m := range list {
		fmt.Fprintf(&b, "  %s:\n    image: %s\n    replicas: %d\n    port: %d\n    cpu: %s\n    memory: %s\n    number: %d\n    env:\n", m.name, m.image, m.replicas, m.port, m.cpu, m.memory, m.number)
		fmt.Fprintf(&b, "      REGION: %s\n      LOG_LEVEL: %s\n      UPSTREAM_URL: %s\n", m.region, m.level, m.peer)
	}
	return b.String()
}

const chartRange = `{{- range $name, $s := .Values.services }}
{{- include "bench.service" (dict "name" $name "s" $s) }}
{{- end }}
`

const chartTemplate = `{{- define "bench.selector" -}}
app.kubernetes.io/component: {{ . }}
app.kubernetes.io/name: bench
{{- end -}}
{{- define "bench.common" -}}
app.kubernetes.io/managed-by: cuepod
app.kubernetes.io/name: bench
app.kubernetes.io/part-of: bench
{{- end -}}
{{- define "bench.labels" -}}
app.kubernetes.io/component: {{ . }}
{{ include "bench.common" . }}
{{- end -}}
{{- define "bench.config" -}}
app.conf: |
  listen=:{{ .s.port }}
  name={{ .name }}
  mode=standard
limits.conf: |
  max_conns={{ add 100 .s.number }}
  timeout=30s
{{- end -}}
{{- define "bench.service" -}}
{{- $name := .name -}}
{{- $config := include "bench.config" . -}}
{{- $configName := printf "%s-config-%s" $name (sha256sum $config | trunc 8) -}}
{{- with .s }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $configName }}
  labels:
    {{- include "bench.common" $name | nindent 4 }}
immutable: true
data:
  {{- $config | nindent 2 }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels:
    {{- include "bench.labels" $name | nindent 4 }}
spec:
  replicas: {{ .replicas | default 1 }}
  selector:
    matchLabels:
      {{- include "bench.selector" $name | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "bench.labels" $name | nindent 8 }}
    spec:
      containers:
        - name: main
          image: {{ required "image" .image | quote }}
          ports:
            - name: http
              containerPort: {{ .port }}
          envFrom:
            - configMapRef:
                name: {{ $configName }}
          env:
            {{- range $k := list "REGION" "LOG_LEVEL" "UPSTREAM_URL" }}
            - name: {{ $k }}
              value: {{ index $.s.env $k | quote }}
            {{- end }}
            - name: FEATURE_FLAGS
              value: {{ printf "a,b,f%d" (int .number) | quote }}
            - name: WORKERS
              value: "4"
            - name: DB_PASSWORD
              valueFrom:
                secretKeyRef:
                  name: db
                  key: password
          resources:
            requests:
              cpu: {{ .cpu }}
              memory: {{ .memory }}
            limits:
              memory: {{ .memory }}
          livenessProbe:
            httpGet:
              path: /healthz
              port: http
            periodSeconds: 15
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
            periodSeconds: 5
        - name: sidecar
          image: registry.example.com/infra/proxy:2.1.0
          args:
            - --upstream=127.0.0.1:{{ .port }}
          ports:
            - name: metrics
              containerPort: 9090
          resources:
            requests:
              cpu: 10m
              memory: 32Mi
            limits:
              memory: 64Mi
          readinessProbe:
            httpGet:
              path: /ready
              port: metrics
            periodSeconds: 5
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels:
    {{- include "bench.labels" $name | nindent 4 }}
spec:
  selector:
    {{- include "bench.selector" $name | nindent 4 }}
  ports:
    - name: http
      port: 80
      targetPort: http
    - name: metrics
      port: 9090
      targetPort: metrics
{{- end }}
{{- end -}}
`
