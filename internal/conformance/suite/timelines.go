package suite

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Relation is a statement about the order of events in a pod's timeline.
type Relation struct {
	Before, After string // events: "container event", or "container event#2" for the second time
	// AtLeast is how much later the second one has to be, in nanoseconds.
	AtLeast int64
}

// Scenario is pods of one kind, of which every copy has to keep all relations.
type Scenario struct {
	Name      string
	Items     []int
	Negative  []int
	Pending   string
	CUE       string // @N@ is how many copies there are
	Until     string // what every copy has to have done before the app is ended
	Times     int    // how often; once when 0
	Act       func(r *Run, pod string)
	Relations []Relation
	Counts    map[string]int // events that happen exactly that often
}

// copies are the names of a scenario's pods.
func (s Scenario) copies(repeat int) []string {
	var out []string
	for n := range repeat {
		name := fmt.Sprintf("%s-%d", s.Name, n)
		if strings.Contains(s.CUE, "Indexed") {
			name = fmt.Sprintf("%s-%d-%d", s.Name, n, n)
		}
		out = append(out, name)
	}
	return out
}

// each looks at all copies side by side, and gives up on the first that is wrong.
func (s Scenario) each(r *Run, look func(r *Run, pod string)) {
	for _, pod := range s.copies(r.world.repeat) {
		look(r, pod)
	}
}

// Case makes a case of a scenario: it lets the pods do what they do, ends the
// app, and reads their timelines.
func (s Scenario) Case() Case {
	return Case{
		Name: s.Name, Items: s.Items, Negative: s.Negative, Pending: s.Pending, CUE: s.CUE, Relations: len(s.Relations) + len(s.Counts),
		Check: func(r *Run) {
			s.each(r, func(r *Run, pod string) {
				r.Happens(pod, s.Until, max(s.Times, 1))
				for _, who := range s.players() {
					r.Happens(pod, who+" start", 1)
				}
			})
			if s.Act != nil {
				s.each(r, func(r *Run, pod string) { s.Act(r, pod) })
			}
		},
		Ended: func(r *Run) {
			s.each(r, func(r *Run, pod string) {
				for _, rel := range s.Relations {
					r.relation(pod, rel)
				}
				for event, n := range s.Counts {
					r.Count(pod, event, n)
				}
			})
		},
	}
}

// players are the containers that a scenario says something of. All have to have
// started before the app is ended: on a slow machine some do long after others.
func (s Scenario) players() []string {
	all := map[string]bool{}
	add := func(event string) {
		who, _, _ := strings.Cut(event, " ")
		all[who] = true
	}
	for _, rel := range s.Relations {
		add(rel.Before)
		add(rel.After)
	}
	for event, n := range s.Counts {
		if n > 0 {
			add(event)
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// when is when an event happened: "main start" the first time, "main start#2"
// the second, "main beat#last" the last.
func (r *Run) when(pod, event string) int64 {
	name, which, ok := strings.Cut(event, "#")
	switch {
	case !ok:
		return r.First(pod, name)
	case which == "last":
		return r.Last(pod, name)
	}
	n := 0
	if _, err := fmt.Sscan(which, &n); err != nil {
		r.Fatalf("event %q: %v", event, err)
	}
	return r.Nth(pod, name, n)
}

func (r *Run) relation(pod string, rel Relation) {
	before, after := r.when(pod, rel.Before), r.when(pod, rel.After)
	if after-before < max(rel.AtLeast, 1) {
		r.Fatalf("timeline of %s: %q is %.3f s after %q, which should be %.3f s at least:%s",
			pod, rel.After, float64(after-before)/1e9, rel.Before, float64(rel.AtLeast)/1e9, draw(r.Timeline(pod)))
	}
}

// chain are the relations of events that come one after the other.
func chain(events ...string) []Relation {
	var out []Relation
	for i := range events[1:] {
		out = append(out, Relation{Before: events[i], After: events[i+1]})
	}
	return out
}

// all are relations of each of some events to each of others.
func all(before []string, after []string) []Relation {
	var out []Relation
	for _, b := range before {
		for _, a := range after {
			out = append(out, Relation{Before: b, After: a})
		}
	}
	return out
}

func join(relations ...[]Relation) []Relation {
	var out []Relation
	for _, r := range relations {
		out = append(out, r...)
	}
	return out
}

const second = int64(1e9)

// Steps of witnesses that many scenarios have: one that runs to its end, one
// that stays, and one that takes its time to stop.
const (
	runs     = `args: ["mark start", "sleep 200ms", "mark end"]`
	stays    = `args: ["mark start", "trap mark exit", "wait"]`
	lingers  = `args: ["mark start", "trap sleep 700ms", "trap mark exit", "wait"]`
	sidecar  = `restartPolicy: "Always"`
	graceful = `terminationGracePeriodSeconds: 30`
)

func timelines() []Case {
	var out []Case
	for _, s := range append(append(append(startScenarios(), stopScenarios()...), restartScenarios()...), jobScenarios()...) {
		out = append(out, s.Case())
	}
	return append(out, orderedSetCase(), rolloutCase())
}

func startScenarios() []Scenario {
	return []Scenario{
		{
			Name: "time-init", Items: []int{5}, Until: "b start",
			CUE: `app: pods: "time-init": _timed & {replicas: _repeat
	initContainers: {i1: {` + runs + `}, i2: {` + runs + `}, i3: {` + runs + `}}
	containers: {a: {` + stays + `}, b: {` + stays + `}}
}`,
			Relations: join(chain("i1 end", "i2 start", "i2 end", "i3 start", "i3 end"), all([]string{"i3 end"}, []string{"a start", "b start"})),
			Counts:    map[string]int{"i1 start": 1, "i2 start": 1, "i3 start": 1},
		}, {
			Name: "time-sidecars", Items: []int{8, 11, 48}, Negative: []int{48}, Until: "a start",
			CUE: `app: pods: "time-sidecars": _timed & {replicas: _repeat, ` + graceful + `
	initContainers: {
		i1: {` + runs + `}
		s1: {` + sidecar + `, args: ["mark start", "sleep 1s", "serve 8081", "mark up", "trap sleep 300ms", "trap mark exit", "wait"], startupProbe: {httpGet: {path: "/mark?event=startup", port: 8081}, periodSeconds: 1, failureThreshold: 60}}
		i2: {` + runs + `}
		s2: {` + sidecar + `, args: ["mark start", "trap sleep 300ms", "trap mark exit", "wait"]}
		i3: {` + runs + `}
	}
	containers: {a: {` + lingers + `}, b: {` + lingers + `}}
}`,
			Relations: join(
				chain("i1 end", "s1 start", "s1 up", "s1 startup", "i2 start", "i2 end", "i3 start", "i3 end", "a start"),
				chain("i2 end", "s2 start"), chain("i3 end", "b start"), chain("s1 startup", "s2 start"),
				// Regular containers stop side by side, then sidecars one by one.
				chain("a term", "b exit"), chain("b term", "a exit"),
				all([]string{"a exit", "b exit"}, []string{"s2 term", "s1 term"}), chain("s2 exit", "s1 term"), chain("s2 term", "s1 exit")),
			Counts: map[string]int{"s1 start": 1, "s2 start": 1, "i2 start": 1, "a start": 1},
		}, {
			Name: "time-poststart", Items: []int{12}, Until: "b start",
			CUE: `app: pods: "time-poststart": _timed & {replicas: _repeat
	containers: {
		a: {` + stays + `, lifecycle: postStart: exec: command: ["/witness", "mark hook", "sleep 700ms", "mark hooked"]}
		b: {` + stays + `, lifecycle: postStart: exec: command: ["/witness", "mark hook", "mark hooked"]}
		c: {` + stays + `}
	}
}`,
			Relations: join(chain("a hook", "a hooked", "b start"), chain("b hooked", "c start"), chain("a hooked", "b hook"), chain("a hooked", "c start")),
			Counts:    map[string]int{"a hook": 1, "b hook": 1, "a start": 1},
		}, {
			Name: "time-startup", Items: []int{31, 32}, Until: "a ready", Times: 2,
			CUE: `app: pods: "time-startup": _timed & {replicas: _repeat
	containers: a: {args: ["mark start", "sleep 1s", "serve 8080", "mark up", "trap mark exit", "wait"]
		startupProbe: {httpGet: {path: "/mark?event=startup", port: 8080}, periodSeconds: 1, failureThreshold: 60, timeoutSeconds: 20}
		readinessProbe: {httpGet: {path: "/mark?event=ready", port: 8080}, periodSeconds: 1, timeoutSeconds: 20}
		livenessProbe: {httpGet: {path: "/mark?event=live", port: 8080}, periodSeconds: 1, timeoutSeconds: 20}
	}
}`,
			Act:       func(r *Run, pod string) { r.Happens(pod, "a live", 1) },
			Relations: join(chain("a up", "a startup", "a ready"), chain("a startup", "a live"), chain("a startup#last", "a ready#2")),
			Counts:    map[string]int{"a startup": 1, "a start": 1},
		}, {
			Name: "time-sidecar-hook", Items: []int{8, 12}, Until: "a start",
			CUE: `app: pods: "time-sidecar-hook": _timed & {replicas: _repeat
	initContainers: {
		s1: {` + sidecar + `, ` + stays + `, lifecycle: {postStart: exec: command: ["/witness", "sleep 500ms", "mark hooked"], preStop: exec: command: ["/witness", "mark prestop"]}}
		i1: {` + runs + `}
	}
	containers: a: {` + lingers + `}
}`,
			Relations: join(chain("s1 start", "s1 hooked", "i1 start", "i1 end", "a start"), chain("a exit", "s1 term"), chain("s1 prestop", "s1 term")),
		},
	}
}

func stopScenarios() []Scenario {
	return []Scenario{
		{
			Name: "time-stop", Items: []int{45, 54}, Until: "b start",
			CUE: `app: pods: "time-stop": _timed & {replicas: _repeat, ` + graceful + `
	containers: {a: {` + lingers + `}, b: {` + lingers + `}}
}`,
			Relations: join(chain("a start", "a term", "a exit"), chain("b start", "b term", "b exit"), chain("a term", "b exit"), chain("b term", "a exit"),
				[]Relation{{"a term", "a exit", second * 7 / 10}, {"b term", "b exit", second * 7 / 10}}),
			Counts: map[string]int{"a start": 1, "b start": 1, "a term": 1},
		}, {
			Name: "time-prestop", Items: []int{35, 45, 46}, Until: "a live", Times: 2,
			CUE: `app: pods: "time-prestop": _timed & {replicas: _repeat, ` + graceful + `
	containers: {
		a: {args: ["mark start", "serve 8080", "trap mark exit", "wait"]
			readinessProbe: {httpGet: {path: "/mark?event=ready", port: 8080}, periodSeconds: 1, timeoutSeconds: 20}
			livenessProbe: {httpGet: {path: "/mark?event=live", port: 8080}, periodSeconds: 1, timeoutSeconds: 20}
			lifecycle: preStop: exec: command: ["/witness", "mark prestop", "sleep 3s", "mark prestopped"]
		}
		b: {` + stays + `, lifecycle: preStop: sleep: seconds: 8}
	}
}`,
			Relations: join(chain("a prestop", "a prestopped", "a term", "a exit"), chain("a prestop", "b term", "b exit"),
				// Readiness is probed while the hook runs.
				chain("a prestop", "a ready#last"), []Relation{{"a prestop", "a term", 3 * second}}),
			Counts: map[string]int{"a prestop": 1, "a term": 1},
		}, {
			Name: "time-signal", Items: []int{45}, Until: "a start",
			CUE: `app: pods: "time-signal": _timed & {replicas: _repeat
	containers: {a: {image: "` + imageSignal + `", ` + stays + `}, b: {` + stays + `}}
}`,
			Relations: join(chain("a start", "a usr1", "a exit"), chain("b start", "b term", "b exit")),
			Counts:    map[string]int{"a term": 0, "b usr1": 0},
		}, {
			Name: "time-kill", Items: []int{45, 46}, Until: "a beat",
			CUE: `app: pods: "time-kill": _timed & {replicas: _repeat, terminationGracePeriodSeconds: 6
	containers: a: {args: ["mark start", "trap ignore", "loop 100ms mark beat", "wait"]}
}`,
			Relations: join(chain("a term", "a beat#last"), []Relation{{"a term", "a beat#last", 2 * second}}),
			Counts:    map[string]int{"a term": 1, "a start": 1},
		}, {
			Name: "time-floor", Items: []int{46}, Until: "a beat",
			CUE: `app: pods: "time-floor": _timed & {replicas: _repeat, terminationGracePeriodSeconds: 15
	containers: a: {args: ["mark start", "trap ignore", "loop 100ms mark beat", "wait"]
		lifecycle: preStop: exec: command: ["/witness", "mark prestop", "sleep 60s", "mark prestopped"]}
}`,
			// The hook has used up the grace period: 2 s are left all the same. (The
			// hook's time begins before its program does.)
			Relations: join(chain("a prestop", "a term", "a beat#last"), []Relation{{"a prestop", "a term", second}, {"a term", "a beat#last", second}}),
			Counts:    map[string]int{"a prestopped": 0},
		}, {
			Name: "time-shared-grace", Items: []int{49}, Until: "a start",
			CUE: `app: pods: "time-shared-grace": _timed & {replicas: _repeat, terminationGracePeriodSeconds: 8
	initContainers: {s1: {` + sidecar + `, ` + stays + `}, s2: {` + sidecar + `, args: ["mark start", "trap ignore", "loop 100ms mark beat", "wait"]}}
	containers: a: {args: ["mark start", "trap ignore", "loop 100ms mark beat", "wait"]}
}`,
			// Nobody's turn comes any more: what is left is stopped together.
			Relations: join(chain("a term", "s2 term"), chain("a term", "s1 term"), chain("s2 term", "s2 beat#last"), chain("s1 term", "s2 beat#last"),
				[]Relation{{"a term", "a beat#last", second * 3 / 2}, {"a term", "s2 term", second}}),
		},
	}
}

func restartScenarios() []Scenario {
	const dies = `args: ["mark start", "sleep 200ms", "mark end", "exit 1"]`
	return []Scenario{
		{
			Name: "time-restart", Items: []int{7, 21, 22, 26}, Negative: []int{7}, Until: "a start", Times: 4,
			CUE: `app: pods: "time-restart": _timed & {replicas: _repeat
	initContainers: i1: {` + runs + `}
	containers: {a: {` + dies + `}, b: {` + stays + `}}
}`,
			Relations: join(chain("i1 end", "a start", "a end", "a start#2", "a end#2", "a start#3", "a end#3", "a start#4"),
				[]Relation{{"a end#2", "a start#3", second}, {"a end#3", "a start#4", 2 * second}}),
			Counts: map[string]int{"i1 start": 1, "b start": 1},
		}, {
			Name: "time-liveness", Items: []int{42, 44}, Until: "a start", Times: 2,
			CUE: `app: pods: "time-liveness": _timed & {replicas: _repeat, ` + graceful + `
	containers: {
		a: {args: ["mark start", "serve 8080", "trap sleep 500ms", "trap mark exit", "wait"], livenessProbe: {httpGet: {path: "/after?d=2s", port: 8080}, periodSeconds: 1, failureThreshold: 1}}
		b: {` + stays + `}
	}
}`,
			Relations: join(chain("a start", "a term", "a exit", "a start#2"), []Relation{{"a start", "a term", 2 * second}, {"a term", "a start#2", second / 2}}),
			Counts:    map[string]int{"b start": 1},
		}, {
			Name: "time-liveness-hook", Items: []int{42, 47}, Until: "a start", Times: 2,
			CUE: `app: pods: "time-liveness-hook": _timed & {replicas: _repeat, ` + graceful + `
	containers: a: {args: ["mark start", "serve 8080", "trap mark exit", "wait"], livenessProbe: {httpGet: {path: "/after?d=2s", port: 8080}, periodSeconds: 1, failureThreshold: 1}
		lifecycle: {postStart: exec: command: ["/witness", "mark poststart"], preStop: exec: command: ["/witness", "mark prestop"]}}
}`,
			Relations: join(chain("a poststart", "a prestop", "a term", "a exit", "a start#2", "a poststart#2")),
		}, {
			Name: "time-own-exit", Items: []int{47}, Until: "a start", Times: 2,
			CUE: `app: pods: "time-own-exit": _timed & {replicas: _repeat
	volumes: tries: emptyDir: {}
	containers: a: {volumeMounts: "/tries": name: "tries", args: ["mark start", "until 2 /tries/n", "wait"], lifecycle: preStop: exec: command: ["/witness", "mark prestop"]}
}`,
			Relations: chain("a start", "a start#2", "a prestop", "a term"),
			Counts:    map[string]int{"a prestop": 1}, // when the pod ended, and not when it exited itself
		}, {
			Name: "time-start-hook-fails", Items: []int{51}, Until: "a start", Times: 2,
			CUE: `app: pods: "time-start-hook-fails": _timed & {replicas: _repeat
	containers: {a: {` + stays + `, lifecycle: postStart: exec: command: ["/witness", "mark hook", "exit 3"]}, b: {` + stays + `}}
}`,
			Relations: chain("a start", "a term", "a start#2", "a hook#2"),
		}, {
			Name: "time-sidecar-restart", Items: []int{8}, Until: "s1 start", Times: 3,
			CUE: `app: pods: "time-sidecar-restart": _timed & {replicas: _repeat
	initContainers: {s1: {` + sidecar + `, args: ["mark start", "sleep 1s", "mark end", "exit 1"]}, i1: {` + runs + `}}
	containers: a: {` + stays + `}
}`,
			Relations: join(chain("s1 start", "s1 end", "s1 start#2", "s1 end#2", "s1 start#3"), chain("i1 end", "a start")),
			Counts:    map[string]int{"i1 start": 1, "a start": 1},
		}, {
			Name: "time-init-fails", Items: []int{5, 6}, Until: "a start",
			CUE: `app: pods: "time-init-fails": _timed & {replicas: _repeat
	volumes: tries: emptyDir: {}
	initContainers: {i1: {` + runs + `}, i2: {volumeMounts: "/tries": name: "tries", args: ["mark start", "until 3 /tries/n", "mark end"]}, i3: {` + runs + `}}
	containers: a: {` + stays + `}
}`,
			Relations: join(chain("i1 end", "i2 start", "i2 start#2", "i2 start#3", "i2 end", "i3 start", "i3 end", "a start"), []Relation{{"i2 start#2", "i2 start#3", second}}),
			Counts:    map[string]int{"i1 start": 1, "i2 start": 3, "i2 end": 1, "i3 start": 1},
		}, {
			Name: "time-sandbox", Items: []int{7, 14}, Until: "b start", Act: func(r *Run, pod string) {
				r.KillSandbox(pod)
				r.Happens(pod, "b start", 2)
			},
			CUE: `app: pods: "time-sandbox": _timed & {replicas: _repeat
	initContainers: {i1: {` + runs + `}, i2: {` + runs + `}}
	containers: {a: {` + stays + `}, b: {` + stays + `}}
}`,
			Relations: join(chain("i1 end", "i2 start", "i2 end", "a start", "i1 start#2", "i1 end#2", "i2 start#2", "i2 end#2", "a start#2"), all([]string{"i2 end#2"}, []string{"b start#2"})),
			Counts:    map[string]int{"i1 start": 2, "i2 start": 2, "a start": 2},
		}, {
			Name: "time-rules", Items: []int{17}, Until: "a start", Times: 2,
			CUE: `app: pods: "time-rules": _timed & {replicas: _repeat
	volumes: tries: emptyDir: {}
	initContainers: i1: {` + runs + `}
	containers: {
		a: {volumeMounts: "/tries": name: "tries", args: ["mark start", "try until 2 /tries/n", "exit 42"], restartPolicy: "Never", restartPolicyRules: [{action: "Restart", exitCodes: {operator: "In", values: [42]}}]}
		b: {args: ["mark start", "exit 1"], restartPolicy: "Never"}
		c: {` + stays + `}
	}
}`,
			Relations: chain("i1 end", "a start", "a start#2"),
			Counts:    map[string]int{"b start": 1, "c start": 1, "i1 start": 1},
		}, {
			Name: "time-rules-all", Items: []int{17}, Until: "b start", Times: 2,
			CUE: `app: pods: "time-rules-all": _timed & {replicas: _repeat
	volumes: tries: emptyDir: {}
	initContainers: i1: {` + runs + `}
	containers: {
		a: {volumeMounts: "/tries": name: "tries", args: ["mark start", "await /tries/b", "until 2 /tries/n", "wait"], restartPolicy: "Never", restartPolicyRules: [{action: "RestartAllContainers", exitCodes: {operator: "In", values: [1]}}]}
		b: {volumeMounts: "/tries": name: "tries", args: ["mark start", "write /tries/b started", "trap mark exit", "wait"]}
	}
}`,
			Relations: join(chain("i1 end", "a start", "i1 start#2", "i1 end#2", "a start#2"), chain("b start", "b start#2"), chain("i1 end#2", "b start#2")),
		},
	}
}

func jobScenarios() []Scenario {
	const job = `kind: "Job", completionMode: "Indexed", completions: _repeat, parallelism: _repeat`
	return []Scenario{
		{
			Name: "time-job", Items: []int{5, 119}, Until: "a end",
			CUE: `app: pods: "time-job": _timed & {` + job + `, restartPolicy: "Never"
	initContainers: {i1: {` + runs + `}, i2: {` + runs + `}}
	containers: {a: {` + runs + `}, b: {` + runs + `}}
}`,
			Act:       func(r *Run, pod string) { r.Phase(pod, "Succeeded") },
			Relations: join(chain("i1 end", "i2 start", "i2 end", "a start"), chain("i2 end", "b start")),
			Counts:    map[string]int{"a start": 1, "b start": 1, "i1 start": 1},
		}, {
			Name: "time-job-sidecar", Items: []int{11, 119}, Until: "a end",
			CUE: `app: pods: "time-job-sidecar": _timed & {` + job + `, restartPolicy: "Never"
	initContainers: {
		s1: {` + sidecar + `, args: ["mark start", "trap mark exit", "trap exit 3", "wait"]}
		s2: {` + sidecar + `, args: ["mark start", "trap sleep 300ms", "trap mark exit", "wait"]}
		i1: {` + runs + `}
	}
	containers: {a: {` + runs + `}, b: {args: ["mark start", "sleep 1s", "mark end"]}}
}`,
			Act:       func(r *Run, pod string) { r.Phase(pod, "Succeeded") },
			Relations: join(chain("s1 start", "i1 start", "i1 end", "a start"), all([]string{"a end", "b end"}, []string{"s1 term", "s2 term"}), chain("s2 exit", "s1 term")),
			Counts:    map[string]int{"s1 start": 1, "a start": 1},
		}, {
			Name: "time-job-init-fails", Items: []int{6}, Until: "i1 end",
			CUE: `app: pods: "time-job-init-fails": _timed & {` + job + `, restartPolicy: "Never", backoffLimitPerIndex: 0
	initContainers: {i1: {` + runs + `}, i2: {args: ["mark start", "exit 1"]}, i3: {` + runs + `}}
	containers: a: {` + runs + `}
}`,
			Act:       func(r *Run, pod string) { r.Phase(pod, "Failed") },
			Relations: chain("i1 end", "i2 start"),
			Counts:    map[string]int{"i2 start": 1, "i3 start": 0, "a start": 0},
		}, {
			Name: "time-job-on-failure", Items: []int{22, 119}, Until: "a end",
			CUE: `app: pods: "time-job-on-failure": _timed & {` + job + `, restartPolicy: "OnFailure", backoffLimit: 1000
	volumes: tries: emptyDir: {}
	initContainers: i1: {` + runs + `}
	containers: a: {volumeMounts: "/tries": name: "tries", args: ["mark start", "until 3 /tries/n", "mark end"]}
}`,
			Act:       func(r *Run, pod string) { r.Phase(pod, "Succeeded") },
			Relations: join(chain("i1 end", "a start", "a start#2", "a start#3", "a end"), []Relation{{"a start#2", "a start#3", second}}),
			Counts:    map[string]int{"i1 start": 1, "a start": 3, "a end": 1},
		},
	}
}

// orderedSetCase: replicas of a set start one after the other, each when the
// one before is ready, and stop in reverse, each when the one behind has ended.
func orderedSetCase() Case {
	const name = "time-set"
	return Case{
		Name: name, Items: []int{118}, Relations: 7,
		CUE: `app: services: "time-set": {pod: "time-set", headless: true, ports: http: port: 8080}
app: pods: "time-set": _timed & {kind: "StatefulSet", replicas: 3
	containers: main: {args: ["mark start", "sleep 300ms", "serve 8080", "trap sleep 300ms", "trap mark exit", "wait"], readinessProbe: {httpGet: {path: "/mark?event=ready", port: 8080}, periodSeconds: 1, timeoutSeconds: 20}}
}`,
		Check: func(r *Run) {
			for n := range 3 {
				r.Ready(fmt.Sprintf("%s-%d", name, n))
			}
			r.Edit("replicas: 3", "replicas: 0")
			for n := range 3 {
				r.Gone(fmt.Sprintf("%s-%d", name, n))
			}
		},
		Ended: func(r *Run) {
			for n := range 2 {
				one, next := fmt.Sprintf("%s-%d", name, n), fmt.Sprintf("%s-%d", name, n+1)
				r.across(one, "main ready", next, "main start")
				r.across(next, "main exit", one, "main term")
				r.across(next, "main term", one, "main exit")
			}
			r.across(name+"-0", "main ready", name+"-2", "main start")
		},
	}
}

// rolloutCase: a change of a Deployment takes its replicas one after the other,
// each when the one before is ready again.
func rolloutCase() Case {
	const name = "time-rollout"
	return Case{
		Name: name, Items: []int{117}, Relations: 5,
		CUE: `app: pods: "time-rollout": _timed & {replicas: 2, updateStrategy: rollingUpdate: {maxSurge: 0, maxUnavailable: 1}
	containers: main: {env: GENERATION: value: "1", args: ["mark start$(GENERATION)", "serve 8080", "trap mark exit", "wait"]
		readinessProbe: {httpGet: {path: "/mark?event=ready$(GENERATION)", port: 8080}, periodSeconds: 1, timeoutSeconds: 20}}
}`,
		Check: func(r *Run) {
			for n := range 2 {
				r.Ready(fmt.Sprintf("%s-%d", name, n))
			}
			r.Edit(`value: "1"`, `value: "2"`)
			for n := range 2 {
				r.Happens(fmt.Sprintf("%s-%d", name, n), "main start2", 1)
				r.Ready(fmt.Sprintf("%s-%d", name, n))
			}
		},
		Ended: func(r *Run) {
			first, last := name+"-0", name+"-1"
			if r.First(first, "main start2") > r.First(last, "main start2") {
				first, last = last, first
			}
			r.Order(first, "main start1", "main term", "main exit", "main start2")
			r.Order(last, "main start1", "main term", "main exit", "main start2")
			r.across(first, "main start2", last, "main term")
		},
	}
}

// across fails unless something in one pod came before something in another.
func (r *Run) across(podA, a, podB, b string) {
	if at, after := r.First(podA, a), r.First(podB, b); at >= after {
		r.Fatalf("%q of %s comes %d ns after %q of %s:\n%s%s\n%s%s", a, podA, at-after, b, podB, podA, draw(r.Timeline(podA)), podB, draw(r.Timeline(podB)))
	}
}
