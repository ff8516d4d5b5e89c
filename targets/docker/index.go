package docker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// PodName is the name of a pod of a run. serial is another for every pod.
func (j *Job) PodName(run string, index, serial int) string {
	if j.Indexed {
		return fmt.Sprintf("%s-%d-%d", run, index, serial)
	}
	return fmt.Sprintf("%s-%d", run, serial)
}

// IndexOf is the completion index of a pod of a run of an indexed job, or -1.
func IndexOf(run, pod string) int {
	rest, ok := strings.CutPrefix(pod, run+"-")
	text, _, more := strings.Cut(rest, "-")
	index, err := strconv.Atoi(text)
	if !ok || !more || err != nil {
		return -1
	}
	return index
}

// indexVariable is what Kubernetes tells every container of an indexed job.
const indexVariable = "JOB_COMPLETION_INDEX"

// tellIndex tells the containers of a pod its completion index.
func (p *Pod) tellIndex(index int) {
	for _, list := range [][]Container{p.Init, p.Containers} {
		for i := range list {
			c := &list[i]
			if !slices.ContainsFunc(c.Env, func(e EnvVar) bool { return e.Name == indexVariable }) {
				c.Env = append(c.Env, EnvVar{Name: indexVariable, Source: FromJobIndex})
			}
			for n := range c.Env {
				if e := &c.Env[n]; e.Source == FromJobIndex {
					e.Source, e.Value = Verbatim, strconv.Itoa(index)
				}
			}
		}
	}
}
