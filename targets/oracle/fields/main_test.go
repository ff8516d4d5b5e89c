package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

const file = "../../../compiler/check/kubernetes.go"

func TestTable_IsCurrent(t *testing.T) {
	want, err := table()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what k8s.io/api says: in targets/oracle run go run ./fields >../../compiler/check/kubernetes.go", file)
	}
}

// What is inlined, what is of a kind of its own, and what is the cluster's.
func TestTable_HasTheFields(t *testing.T) {
	source, err := table()
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for _, want := range []string{"hostPath=HostPathVolumeSource", "targetPort=intOrString", "containers=[]Container", "nodeSelector={}string", "limits={}quantity"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %s", want)
		}
	}
	if strings.Contains(text, "status=") {
		t.Error("the table has a status")
	}
}
