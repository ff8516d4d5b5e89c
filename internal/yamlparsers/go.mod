module github.com/cuepod/cuepod/internal/yamlparsers

go 1.26.0

require (
	github.com/cuepod/cuepod v0.0.0-00010101000000-000000000000
	go.yaml.in/yaml/v3 v3.0.5
	go.yaml.in/yaml/v4 v4.0.0-rc.4
	sigs.k8s.io/yaml v1.6.0
)

require go.yaml.in/yaml/v2 v2.4.2 // indirect

replace github.com/cuepod/cuepod => ../..
