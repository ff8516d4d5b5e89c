package apiserver

import (
	"strings"
	"testing"
)

// The kinds beside those of a small app: what is good passes, and each mistake
// is refused by the code that is made for it. A case replaces one text of the
// good manifests by another.
func TestCheck_Kinds(t *testing.T) {
	server := newServer(t)
	for _, problem := range server.Check(t.Context(), []byte(kinds)) {
		t.Fatalf("the good manifests: %s", problem)
	}
	for _, c := range []struct{ old, new, want string }{
		{"serviceName: db", "serviceName: d_b", "serviceName"},
		{"podManagementPolicy: Parallel", "podManagementPolicy: Serial", "podManagementPolicy"},
		{"partition: 1", "partition: -1", "partition"},
		{"whenDeleted: Delete", "whenDeleted: Keep", "whenDeleted"},
		{"type: OnDelete", "type: Recreate", "Unsupported value"},
		{"restartPolicy: Never # job", "restartPolicy: Always", "restartPolicy: Required value"},
		{"backoffLimit: 3", "backoffLimit: -3", "backoffLimit"},
		{"completionMode: Indexed", "completionMode: Both", "completionMode"},
		{"  completions: 2", "  parallelism: 2\n  successPolicy:\n    rules:\n      - succeededIndexes: 0-1", "validation panics"},
		{"externalTrafficPolicy: Local", "externalTrafficPolicy: local", "externalTrafficPolicy"},
		{"externalTrafficPolicy: Local", "externalTrafficPolicy: Cluster\n  healthCheckNodePort: 30123", "healthCheckNodePort"},
		{"schedule: 17 3 * * *", "schedule: 17 25 * * *", "schedule"},
		{"timeZone: Etc/UTC", "timeZone: Etc/Nowhere", "timeZone"},
		{"concurrencyPolicy: Forbid", "concurrencyPolicy: Never", "concurrencyPolicy"},
		{"maxReplicas: 4", "maxReplicas: 1", "maxReplicas"},
		{"minReplicas: 2", "minReplicas: 0", "scaling to zero"},
		{"averageUtilization: 80", "averageUtilization: 0", "averageUtilization"},
		{"minAvailable: 50%", "minAvailable: 50%\n  maxUnavailable: 1", "cannot be both set"},
		{"minAvailable: 50%", "minAvailable: half", "minAvailable"},
		{"pathType: Prefix", "pathType: prefix", "pathType"},
		{"path: /", "path: a", "must be an absolute path"},
		{"host: shop.example", "host: Shop", "host"},
		{"number: 80", "number: 80\n                  name: http", "cannot set both"},
		{"policyTypes: [Ingress]", "policyTypes: [Both]", "policyTypes"},
		{"cidr: 10.0.0.0/8", "cidr: 10.0.0.0", "cidr"},
		{"verbs: [get] # role", "verbs: []", "verbs"},
		{"resources: [nodes]", "resources: []", "resource"},
		{"namespace: default # binding", "namespace: \"\"", "namespace"},
		{"kind: ClusterRole\n  name: reader", "kind: Rule\n  name: reader", "roleRef"},
		{"type: PathPrefix", "type: Prefix", "PathPrefix"},
		{"weight: 1", "weight: -1", "weight"},
		{"- name: web # route", "- nam: web", "unknown field"},
		{"replacePrefixMatch: /b", "replaceFullPath: /b", "replacePrefixMatch"},
	} {
		bad := strings.Replace(kinds, c.old, c.new, 1)
		if bad == kinds {
			t.Errorf("%q is not in the good manifests", c.old)
			continue
		}
		if problems := strings.Join(server.Check(t.Context(), []byte(bad)), "\n"); !strings.Contains(problems, c.want) {
			t.Errorf("%q for %q: got %q, want %q", c.new, c.old, problems, c.want)
		}
	}
}

const kinds = `apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
spec:
  serviceName: db
  podManagementPolicy: Parallel
  updateStrategy:
    type: RollingUpdate
    rollingUpdate:
      partition: 1
  persistentVolumeClaimRetentionPolicy:
    whenDeleted: Delete
  selector:
    matchLabels: {component: db}
  template:
    metadata:
      labels: {component: db}
    spec:
      containers:
        - name: db
          image: db:1
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 1Gi}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
spec:
  updateStrategy:
    type: OnDelete
  selector:
    matchLabels: {component: agent}
  template:
    metadata:
      labels: {component: agent}
    spec:
      containers:
        - name: agent
          image: agent:1
---
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
spec:
  backoffLimit: 3
  completions: 2
  completionMode: Indexed
  template:
    metadata:
      labels: {component: migrate}
    spec:
      restartPolicy: Never # job
      containers:
        - name: migrate
          image: db:1
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: backup
spec:
  schedule: 17 3 * * *
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers:
            - name: backup
              image: db:1
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: db
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: db}
  minReplicas: 2
  maxReplicas: 4
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: 80
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: db
spec:
  minAvailable: 50%
  selector:
    matchLabels: {component: db}
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  ports:
    - port: 80
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
spec:
  rules:
    - host: shop.example
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: web
                port:
                  number: 80
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - from:
        - ipBlock:
            cidr: 10.0.0.0/8
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: reader
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: reader
rules:
  - verbs: [get] # role
    apiGroups: [""]
    resources: [pods]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reader
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: reader
subjects:
  - kind: ServiceAccount
    name: reader
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: x-reader
rules:
  - verbs: [get]
    apiGroups: [""]
    resources: [nodes]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: x-reader
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: reader
subjects:
  - kind: ServiceAccount
    name: reader
    namespace: default # binding
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
spec:
  parentRefs:
    - name: gateway
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: /a
      filters:
        - type: URLRewrite
          urlRewrite:
            path:
              type: ReplacePrefixMatch
              replacePrefixMatch: /b
      backendRefs:
        - name: web # route
          port: 80
          weight: 1
`
