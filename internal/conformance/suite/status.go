package suite

import "slices"

// Status is what cuepod ps -o json prints, as far as cases look at it.
type Status struct {
	Pods     []Pod     `json:"pods"`
	Jobs     []Job     `json:"jobs"`
	CronJobs []CronJob `json:"cronJobs"`
	Services []Service `json:"services"`
}

// Pod is one pod.
type Pod struct {
	Name       string      `json:"name"`
	Workload   string      `json:"workload"`
	Job        string      `json:"job"`
	Phase      string      `json:"phase"`
	Reason     string      `json:"reason"`
	Message    string      `json:"message"`
	QOS        string      `json:"qosClass"`
	Ready      bool        `json:"ready"`
	IP         string      `json:"ip"`
	Restarts   int         `json:"restarts"`
	Started    string      `json:"started"`
	Conditions []Condition `json:"conditions"`
	Containers []Container `json:"containers"`
}

// Condition is one of a pod's conditions.
type Condition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Reason string `json:"reason"`
}

// Container is one container of a pod.
type Container struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	State    string `json:"state"`
	Reason   string `json:"reason"`
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts"`
	ExitCode int    `json:"exitCode"`
	Message  string `json:"message"`
}

// Job is one run of a job.
type Job struct {
	Name      string `json:"name"`
	CronJob   string `json:"cronJob"`
	Status    string `json:"status"`
	Reason    string `json:"reason"`
	Active    int    `json:"active"`
	Succeeded int    `json:"succeeded"`
	Failed    int    `json:"failed"`
}

// CronJob is one CronJob.
type CronJob struct {
	Name    string `json:"name"`
	Suspend bool   `json:"suspend"`
	Active  int    `json:"active"`
}

// Service is one service.
type Service struct {
	Name      string   `json:"name"`
	VIP       string   `json:"vip"`
	Endpoints int      `json:"endpoints"`
	Total     int      `json:"total"`
	URLs      []string `json:"urls"`
}

// Container is the pod's container of that name; its zero value when there is none.
func (p Pod) Container(name string) Container {
	i := slices.IndexFunc(p.Containers, func(c Container) bool { return c.Name == name })
	if i < 0 {
		return Container{}
	}
	return p.Containers[i]
}

// Condition is the pod's condition of that type: "True", "False" or "".
func (p Pod) Condition(kind string) Condition {
	i := slices.IndexFunc(p.Conditions, func(c Condition) bool { return c.Type == kind })
	if i < 0 {
		return Condition{}
	}
	return p.Conditions[i]
}
