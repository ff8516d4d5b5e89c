package near

import "testing"

func TestHint(t *testing.T) {
	known := []string{"nodeSelector", "hostNetwork", "tolerations"}
	for name, want := range map[string]string{
		"nodeSelecter": `did you mean "nodeSelector"?`, "hostnetwork": `did you mean "hostNetwork"?`, "toelrations": `did you mean "tolerations"?`,
		"replicas": "", "": "",
	} {
		if got := Hint(name, known); got != want {
			t.Errorf("Hint(%q) = %q, want %q", name, got, want)
		}
	}
}
