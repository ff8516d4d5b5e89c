package apiserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/kubernetes/pkg/capabilities"
	_ "sigs.k8s.io/gateway-api/apis/v1" // the module with the definition of HTTPRoute

	"github.com/cuepod/cuepod/compiler"
)

func TestMain(m *testing.M) {
	capabilities.Initialize(capabilities.Capabilities{AllowPrivileged: true}) // as a server's flag does
	os.Exit(m.Run())
}

// newServer is a server with the Gateway API's definition of routes.
func newServer(t *testing.T) *Server {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatalf("where the Gateway API is: %v", err)
	}
	definition, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := New(definition)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// A server accepts every golden of the Kubernetes target whose definition the
// compiler accepts, without a warning.
func TestGoldens(t *testing.T) {
	paths, err := filepath.Glob("../../testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	checked := 0
	server, cache := newServer(t), newCache(t)
	for _, path := range paths {
		if filepath.Base(path) == "objects.txtar" {
			continue // kinds that we do not write: they are passed on unseen
		}
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = compiler.Compile(t.Context(), compiler.Options{Dir: t.TempDir(), Input: archive.Files[0].Data, CacheDir: cache})
		var bad *compiler.Error
		if errors.As(err, &bad) {
			continue // what targets make of it is their matter
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name != "kubernetes/manifests.yaml" {
				continue
			}
			checked++
			for _, problem := range server.Check(t.Context(), f.Data) {
				t.Errorf("%s: %s", path, problem)
			}
		}
	}
	if checked < len(paths)/2 {
		t.Errorf("only %d of %d goldens hold manifests of a definition that is accepted", checked, len(paths))
	}
}

// And what the examples compile to.
func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("../../../examples/*/golden/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	server := newServer(t)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), "apiVersion:") {
			continue // another target's
		}
		checked++
		for _, problem := range server.Check(t.Context(), data) {
			t.Errorf("%s: %s", path, problem)
		}
	}
	if checked == 0 {
		t.Skip("no example holds manifests")
	}
}

// The other half: mistakes that a server refuses or warns of are seen here. A
// case replaces one text of the good manifests by another.
func TestCheck_RefusesMistakes(t *testing.T) {
	server := newServer(t)
	if problems := server.Check(t.Context(), []byte(good)); len(problems) > 0 {
		t.Fatalf("the good manifests: %q", problems)
	}
	for _, c := range []struct{ old, new, want string }{
		{"replicas: 2", "replica: 2", "unknown field"},
		{"replicas: 2", "replicas: -2", "greater than or equal to 0"},
		{"replicas: 2", "replicas: 2\n  replicas: 3", "already set"},
		{"value: \"8080\"", "value: 8080", "cannot unmarshal number"},
		{"role: front", "role: y", "cannot unmarshal bool"},
		{"role: front", "role: a b", "a valid label must be"},
		{"name: settings-0a1b2c3d\ndata", "name: Settings\ndata", "RFC 1123"},
		{"name: NAME", "name: A=B", "printable ASCII characters other than"},
		{"name: NAME", "name: PORT", "hides previous definition"},
		{"fieldPath: metadata.name", "fieldPath: metadata.nam", "fieldPath"},
		{"name: metrics", "name: http", "Duplicate value"},
		{"name: metrics", "name: a-much-too-long-name", "no more than 15"},
		{"containerPort: 9090", "containerPort: 8080", "duplicate port definition"},
		{"containerPort: 9090", "containerPort: 99090", "between 1 and 65535"},
		{"memory: 64Mi", "memory: 64 MB", "quantities must match"},
		{"cpu: 50m", "cpu: \"2\"", "must be less than or equal to cpu limit"},
		{"mountPath: /b", "mountPath: /a", "must be unique"},
		{"mountPath: /b", "mountPath: /b\n              subPath: ../c", "must not contain '..'"},
		{"- name: scratch\n              mountPath", "- name: scrap\n              mountPath", "Not found"},
		{"emptyDir: {}", "emptyDir: {}\n          configMap: {name: settings-0a1b2c3d}", "may not specify more than 1 volume type"},
		{"defaultMode: 288", "defaultMode: 640", "must be a number between 0 and 0777"},
		{"periodSeconds: 5", "periodSeconds: 5\n            successThreshold: 2", "must be 1"},
		{"periodSeconds: 5", "periodSeconds: -5", "greater than or equal to 0"},
		{"path: /ready", "path: /ready\n              scheme: http", "Unsupported value"},
		{"image: web:1", "image: \"\"", "Required value"},
		{"imagePullPolicy: Always", "imagePullPolicy: Sometimes", "Unsupported value"},
		{"runAsUser: 65532", "runAsUser: -1", "between 0 and"},
		{"name: side\n", "name: web\n", "Duplicate value"},
		{"hostname: a-name", "hostname: a_name", "hostname"},
		{"component: web # selector", "component: wep", "`selector` does not match template `labels`"},
		{"name: web # service", "name: web.x", "must not contain dots"},
		{"type: NodePort", "type: NodePort\n  clusterIP: None", "may not be set to 'None' for NodePort"},
		{"type: NodePort", "type: nodeport", "Unsupported value"},
		{"sessionAffinity: ClientIP", "sessionAffinity: Client", "Unsupported value"},
		{"port: 81", "port: 80", "Duplicate value"},
		{"- name: admin\n", "- ", "Required value"},
		{"targetPort: http", "targetPort: \"80x!\"", "targetPort"},
		{"accessModes: [ReadWriteOnce]", "accessModes: [ReadWrite]", "Unsupported value"},
		{"storage: 1Gi", "storage: 0", "must be greater than zero"},
		{"immutable: true", "immutable: true\nstatus: {}", "unknown field"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Errorf("%q is not in the good manifests", c.old)
			continue
		}
		if problems := strings.Join(server.Check(t.Context(), []byte(bad)), "\n"); !strings.Contains(problems, c.want) {
			t.Errorf("%q for %q: got %q, want %q", c.new, c.old, problems, c.want)
		}
	}
}

const good = `apiVersion: v1
kind: ConfigMap
metadata:
  name: settings-0a1b2c3d
data:
  title: hello
immutable: true
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 1Gi
---
apiVersion: v1
kind: Service
metadata:
  name: web # service
spec:
  type: NodePort
  sessionAffinity: ClientIP
  selector:
    component: web
  ports:
    - name: http
      port: 80
      targetPort: http
      nodePort: 30080
    - name: admin
      port: 81
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    role: front
spec:
  replicas: 2
  selector:
    matchLabels:
      component: web # selector
  template:
    metadata:
      labels:
        component: web
    spec:
      hostname: a-name
      containers:
        - name: web
          image: web:1
          imagePullPolicy: Always
          ports:
            - name: http
              containerPort: 8080
            - name: metrics
              containerPort: 9090
          env:
            - name: PORT
              value: "8080"
            - name: NAME
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
          resources:
            requests:
              cpu: 50m
            limits:
              cpu: "1"
              memory: 64Mi
          livenessProbe:
            tcpSocket: {port: http}
            periodSeconds: 5
          readinessProbe:
            httpGet:
              path: /ready
              port: http
          securityContext:
            runAsUser: 65532
          volumeMounts:
            - name: files
              mountPath: /a
            - name: scratch
              mountPath: /b
        - name: side
          image: side:1
      volumes:
        - name: files
          configMap: {name: settings-0a1b2c3d, defaultMode: 288}
        - name: scratch
          emptyDir: {}
`
