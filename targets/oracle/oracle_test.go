package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	sigs "sigs.k8s.io/yaml"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// Every golden of the Kubernetes target is what a server accepts, when its
// definition is one that the compiler accepts.
func TestGoldens(t *testing.T) {
	paths, err := filepath.Glob("../testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	checked := 0
	cache := cacheDir(t)
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		result, err := compiler.Compile(t.Context(), compiler.Options{Dir: t.TempDir(), Input: archive.Files[0].Data, CacheDir: cache})
		var bad *compiler.Error
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if strings.HasPrefix(f.Name, "kubernetes/") && strings.HasSuffix(f.Name, ".yaml") {
				checked++
				for _, problem := range Check(f.Data, secretKeys(result.App)) {
					t.Errorf("%s: %s", path, problem)
				}
			}
		}
	}
	if checked < len(paths)/2 {
		t.Errorf("only %d of %d goldens hold manifests of a definition that is accepted", checked, len(paths))
	}
}

// secretKeys are the keys of an app's Secrets.
func secretKeys(a *app.App) map[string][]string {
	secrets := map[string][]string{}
	for _, s := range a.Secrets {
		secrets[s.Name] = []string{}
		for _, k := range s.Keys {
			secrets[s.Name] = append(secrets[s.Name], k.Name)
		}
	}
	return secrets
}

// So is what the examples compile to.
func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("../../examples/*/golden/kubernetes/manifests.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../examples/*/golden/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, path := range append(paths, more...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), "apiVersion:") {
			continue // another target's
		}
		checked++
		for _, problem := range Check(data, nil) {
			t.Errorf("%s: %s", path, problem)
		}
	}
	if checked == 0 {
		t.Skip("no example holds manifests")
	}
}

// The other half: each mistake is refused, for the reason that it is made for.
// A case replaces one text of the good manifests by another.
func TestCheck_RefusesMistakes(t *testing.T) {
	secrets := map[string][]string{"keys": {"token"}}
	if problems := Check([]byte(good), secrets); len(problems) > 0 {
		t.Fatalf("the good manifests: %q", problems)
	}
	for _, c := range []struct{ old, new, want string }{
		{"replicas: 2", "replica: 2", "unknown field"},
		{"replicas: 2", "replicas: two", "cannot unmarshal string"},
		{"replicas: 2", "replicas: 2\n  replicas: 3", "already set"},
		{"memory: 64Mi", "memory: 64 MB", "quantities must match"},
		{"value: \"8080\"", "value: 8080", "cannot unmarshal number"},
		{"tier: front", "tier: y", "cannot unmarshal bool"},
		{"tier: front", "tier: a b", "label tier"},
		{"kind: ConfigMap", "kind: Configmap", "no kind"},
		{"name: settings-0a1b2c3d\ndata", "name: Settings\ndata", "the name"},
		{"name: settings-0a1b2c3d\ndata", "name: other\ndata", "no ConfigMap settings-0a1b2c3d"},
		{"  title: hello", "  heading: hello", "has no key title"},
		{"name: keys", "name: key", "no key token in Secret key"},
		{"key: token", "key: other", "no key other in Secret keys"},
		{"secretName: keys", "secretName: key", "no Secret key"},
		{"claimName: data", "claimName: date", "no claim date"},
		{"fieldPath: metadata.name", "fieldPath: metadata.nam", "no field of a pod"},
		{"name: PORT", "name: NAME", "NAME is there twice"},
		{"name: metrics", "name: http", "port name http is there twice"},
		{"name: metrics", "name: a-much-too-long-name", "must be no more than 15"},
		{"containerPort: 9090", "containerPort: 8080", "port 8080/TCP is there twice"},
		{"containerPort: 9090", "containerPort: 99090", "between 1 and 65535"},
		{"mountPath: /b", "mountPath: /a", "mounts /a twice"},
		{"- name: files\n", "- name: file\n", "no volume file"},
		{"emptyDir: {}", "emptyDir: {}\n          configMap: {name: settings-0a1b2c3d}", "has 2 sources"},
		{"name: side\n", "name: web\n", "is there twice"},
		{"image: side:1", "image: \"\"", "has no image"},
		{"port: http\n            periodSeconds", "port: htpp\n            periodSeconds", "asks at port \"htpp\""},
		{"periodSeconds: 5", "periodSeconds: 5\n            successThreshold: 2", "successThreshold of 2"},
		{"tcpSocket: {port: 8080}", "tcpSocket: {port: 8080}\n            exec: {command: [a]}", "has 2 handlers"},
		{"component: web # selector", "component: wep", "does not select its own pods"},
		{"component: web # service", "component: wep", "selects no pods"},
		{"targetPort: http", "targetPort: htp", "no pod has a TCP port \"htp\""},
		{"targetPort: http", "targetPort: http\n      protocol: UDP", "no pod has a UDP port"},
		{"nodePort: 30080", "nodePort: 80", "not in 30000-32767"},
		{"type: NodePort", "type: ClusterIP", "needs type NodePort"},
		{"port: 81", "port: 80", "is there twice"},
		{"- name: admin\n", "- ", "needs a name"},
		{"name: web # service", "name: web.x", "the name"},
		{"serviceName: db", "servicename: db", "unknown field"},
		{"name: own\n              mountPath", "name: other\n              mountPath", "no volume other"},
		{"restartPolicy: Never", "restartPolicy: Always", "none of a Job's"},
		{"component: db # selector", "component: web", "does not select its own pods"},
		{"component: db # template", "component: web", "also selects the pods of db"},
		{"name: settings-0a1b2c3d # projected", "name: settings", "no ConfigMap settings"},
		{"key: title # projected", "key: heading", "has no key heading"},
		{"name: keys # projected", "name: kees", "no Secret kees"},
		{"name: web # backend", "name: wob", "no Service wob"},
		{"number: 80 # backend", "number: 82", "no such port"},
		{"name: web # route", "name: wob", "no Service wob"},
		{"port: 80 # route", "port: 82", "no such port"},
		{"name: web # target", "name: db", "no Deployment db"},
		{"name: reader # role", "name: other", "no Role other"},
		{"name: reader # account", "name: other", "no ServiceAccount other"},
		{"externalName: a.example", "selector: {component: web}", "is another name for"},
		{"kind: PersistentVolumeClaim\nmetadata:\n  name: data", "kind: ConfigMap\nmetadata:\n  name: settings-0a1b2c3d", "unknown field"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Errorf("%q is not in the good manifests", c.old)
			continue
		}
		if problems := strings.Join(Check([]byte(bad), secrets), "\n"); !strings.Contains(problems, c.want) {
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
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: Service
metadata:
  name: web # service
spec:
  type: NodePort
  selector:
    component: web # service
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
    tier: front
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
      containers:
        - name: web
          image: web:1
          ports:
            - name: http
              containerPort: 8080
            - name: metrics
              containerPort: 9090
          env:
            - name: NAME
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
            - name: PORT
              value: "8080"
            - name: TITLE
              valueFrom: {configMapKeyRef: {name: settings-0a1b2c3d, key: title}}
            - name: TOKEN
              valueFrom:
                secretKeyRef:
                  name: keys
                  key: token
          resources:
            limits:
              memory: 64Mi
          livenessProbe:
            httpGet:
              port: http
            periodSeconds: 5
          readinessProbe:
            tcpSocket: {port: 8080}
          volumeMounts:
            - name: files
              mountPath: /a
            - name: scratch
              mountPath: /b
        - name: side
          image: side:1
      volumes:
        - name: files
          configMap: {name: settings-0a1b2c3d}
        - name: scratch
          emptyDir: {}
        - name: keys
          secret:
            secretName: keys
        - name: data
          persistentVolumeClaim:
            claimName: data
        - name: all
          projected:
            sources:
              - configMap:
                  name: settings-0a1b2c3d # projected
                  items:
                    - key: title # projected
                      path: title
              - secret:
                  name: keys # projected
---
apiVersion: v1
kind: Service
metadata:
  name: alias
spec:
  type: ExternalName
  externalName: a.example
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
spec:
  serviceName: db
  selector:
    matchLabels:
      component: db # selector
  template:
    metadata:
      labels:
        component: db # template
        extra: a
    spec:
      containers:
        - name: db
          image: db:1
          volumeMounts:
            - name: own
              mountPath: /own
  volumeClaimTemplates:
    - metadata:
        name: own
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 1Gi}}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: db:1
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
spec:
  rules:
    - http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: web # backend
                port:
                  number: 80 # backend
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
spec:
  rules:
    - backendRefs:
        - name: web # route
          port: 80 # route
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: web
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: web # target
  maxReplicas: 3
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
rules: []
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reader
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: reader # role
subjects:
  - kind: ServiceAccount
    name: reader # account
`

// Kubernetes' own reader gets back the strings that our writer was given, text
// in YAML and JSON among them.
func TestYAML_RoundTripsThroughKubernetes(t *testing.T) {
	pieces := []string{"a", "y", "no", "0", "1", "e", "-", ":", " ", "#", "\n", "\t", "\r", "'", `"`, `\`, "{", "}", "[", "]", ",", "&", "*", "!", "|", ">",
		"%", "@", "`", "?", "=", "<<", "~", ".", "_", "$", "\x00", "\x7f", "\u0085", "\u2028", "\ufeff", "é", "😀", "---", "null", `{"a": [1, "b"]}`, "a: b\n"}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		want := map[string]string{}
		doc := yaml.New()
		for i := range 1 + rng.IntN(4) {
			var b strings.Builder
			for range rng.IntN(7) {
				b.WriteString(pieces[rng.IntN(len(pieces))])
			}
			key := fmt.Sprint(b.String(), i)
			if rng.IntN(2) == 0 { // what was written before, in JSON, in a string
				inner, err := json.Marshal(want)
				if err != nil {
					t.Fatal(err)
				}
				b.Write(inner)
			}
			want[key] = b.String()
			doc.Set(key, b.String())
		}
		text := yaml.Append(nil, doc)
		got := map[string]string{}
		if err := sigs.UnmarshalStrict(text, &got); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %q, want %q\n%s", got, want, text)
		}
	}
}
