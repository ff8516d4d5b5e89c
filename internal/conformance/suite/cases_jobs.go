package suite

import (
	"fmt"
	"slices"
)

// indexes is a job of as many indexes, all at once, whose pods do what is said.
func indexes(name string, completions int, args, more string) string {
	return fmt.Sprintf(`app: pods: %q: {
	kind: "Job", completionMode: "Indexed", completions: %d, parallelism: %d, restartPolicy: "Never"
	containers: main: _witness & {args: [%s]}
	%s
}`, name, completions, completions, args, more)
}

func jobCases() []Case {
	const file = "apps/job.go"
	return []Case{
		{
			Name: "job-indexed", Rows: rows(file, "Ensure Pods of an Indexed Job get a unique index."), Items: []int{119},
			CUE: indexes("job-indexed", 3, `"env JOB_", "host"`, ""),
			Check: func(r *Run) {
				if j := r.Job("job-indexed", "Complete"); j.Succeeded != 3 {
					r.Fatalf("it is %+v", j)
				}
				var got []string
				for _, p := range r.Pods("job-indexed") {
					got = append(got, r.Log(p.Name)...)
				}
				for i := range 3 {
					for _, line := range []string{fmt.Sprint("JOB_COMPLETION_INDEX=", i), fmt.Sprintf("hostname=job-indexed-%d", i)} {
						if !slices.Contains(got, line) {
							r.Fatalf("nobody says %q, but: %q", line, got)
						}
					}
				}
			},
		}, {
			Name: "job-retries", Rows: rows(file, "Jobs, completion after task failure"), Items: []int{119},
			CUE: `app: pods: "job-retries": {
	kind: "Job", completions: 3, parallelism: 2, restartPolicy: "OnFailure"
	volumes: data: emptyDir: {}
	containers: main: _witness & {volumeMounts: "/data": name: "data", args: ["until 2 /data/n"]}
}`,
			Check: func(r *Run) {
				if j := r.Job("job-retries", "Complete"); j.Succeeded != 3 {
					r.Fatalf("it is %+v", j)
				}
				for _, p := range r.Pods("job-retries") {
					if p.Restarts != 1 {
						r.Fatalf("a pod was restarted %d times: %+v", p.Restarts, p)
					}
				}
			},
		}, {
			Name: "job-removed", Rows: rows(file, "Jobs, active pods, graceful termination"), Items: []int{119},
			CUE: `app: pods: "job-removed": _timed & {kind: "Job", parallelism: 2, completions: 2, containers: main: {args: ["mark start", "trap mark trapped", "wait"]}}`,
			Check: func(r *Run) {
				r.Happens("job-removed-0", "main start", 1)
				r.Happens("job-removed-1", "main start", 1)
				r.Edit(r.Case.CUE, "")
				r.Gone("job-removed-0")
				r.Gone("job-removed-1")
				for n := range 2 { // it is not shown any more while it ends
					r.Happens(fmt.Sprint("job-removed-", n), "main trapped", 1)
				}
				r.Order("job-removed-0", "main start", "main term", "main trapped")
				r.Order("job-removed-1", "main start", "main term", "main trapped")
			},
		}, {
			Name: "job-fail-policy", Rows: rows(file, "Verify Pod Failure policy allows to fail job early on exit code."), Items: []int{119},
			CUE: `app: pods: "job-fail-policy": {
	kind: "Job", restartPolicy: "Never", backoffLimit: 6
	podFailurePolicy: rules: [{action: "FailJob", onExitCodes: {operator: "In", values: [42]}}]
	containers: main: _witness & {args: ["exit 42"]}
}`,
			Check: func(r *Run) {
				if j := r.Job("job-fail-policy", "Failed"); j.Reason != "PodFailurePolicy" || len(r.Pods("job-fail-policy")) != 1 {
					r.Fatalf("it is %+v", j)
				}
			},
		}, {
			Name: "job-limit-per-index", Rows: rows(file, "Ensure that all indexes are executed for an indexed job with backoffLimitPerIndex despite some failing"), Items: []int{119},
			CUE: `app: pods: "job-limit-per-index": {
	kind: "Job", completionMode: "Indexed", completions: 4, parallelism: 2, restartPolicy: "Never", backoffLimitPerIndex: 0
	containers: main: _witness & {env: N: value: "$(JOB_COMPLETION_INDEX)", args: ["exists /index-$(JOB_COMPLETION_INDEX)"]}
	volumes: {}
}`,
			Check: func(r *Run) {
				if j := r.Job("job-limit-per-index", "Failed"); j.Reason != "FailedIndexes" || j.Failed != 4 {
					r.Fatalf("it is %+v", j)
				}
			},
		}, {
			Name: "job-fail-index", Rows: rows(file, "Mark indexes as failed when the FailIndex action is matched in podFailurePolicy"), Items: []int{119},
			CUE: `app: pods: "job-fail-index": {
	kind: "Job", completionMode: "Indexed", completions: 2, parallelism: 2, restartPolicy: "Never", backoffLimitPerIndex: 1
	podFailurePolicy: rules: [{action: "FailIndex", onExitCodes: {operator: "In", values: [42]}}]
	containers: main: _witness & {args: ["exit 42"]}
}`,
			Check: func(r *Run) {
				if j := r.Job("job-fail-index", "Failed"); j.Reason != "FailedIndexes" || len(r.Pods("job-fail-index")) != 2 {
					r.Fatalf("it is %+v", j)
				}
			},
		}, {
			Name: "job-max-failed", Rows: rows(file, "Terminate job execution when the maxFailedIndexes is exceeded"), Items: []int{119},
			CUE: `app: pods: "job-max-failed": {
	kind: "Job", completionMode: "Indexed", completions: 4, parallelism: 4, restartPolicy: "Never", backoffLimitPerIndex: 0, maxFailedIndexes: 0
	containers: main: _witness & {args: ["exit 1"]}
}`,
			Check: func(r *Run) {
				if j := r.Job("job-max-failed", "Failed"); j.Reason != "MaxFailedIndexesExceeded" {
					r.Fatalf("it is %+v", j)
				}
			},
		}, {
			Name: "job-success-all", Rows: rows(file, "Ensure that job with successPolicy succeeded when all indexes succeeded"), Items: []int{119},
			CUE: indexes("job-success-all", 2, `"exit 0"`, `successPolicy: rules: [{succeededCount: 2}]`),
			Check: func(r *Run) {
				if j := r.Job("job-success-all", "Complete"); j.Succeeded != 2 {
					r.Fatalf("it is %+v", j)
				}
			},
		}, {
			Name: "job-success-indexes", Rows: rows(file, "Ensure that job with successPolicy succeededIndexes rule succeeded even when some indexes remain pending"), Items: []int{119},
			CUE: indexes("job-success-indexes", 2, `"await /index-$(JOB_COMPLETION_INDEX)"`, `successPolicy: rules: [{succeededIndexes: "0"}]
	volumes: data: configMap: name: "job-success-indexes"
	containers: main: volumeMounts: "/index-0": name: "data"`) + "\napp: configMaps: \"job-success-indexes\": data: a: \"b\"",
			Check: func(r *Run) {
				if j := r.Job("job-success-indexes", "Complete"); j.Reason != "SuccessPolicy" {
					r.Fatalf("it is %+v", j)
				}
			},
		}, {
			Name: "job-success-count", Rows: rows(file, "Ensure that job with successPolicy succeededCount rule succeeded even when some indexes remain pending"), Items: []int{119},
			CUE: indexes("job-success-count", 2, `"await /index-$(JOB_COMPLETION_INDEX)"`, `successPolicy: rules: [{succeededCount: 1}]
	volumes: data: configMap: name: "job-success-count"
	containers: main: volumeMounts: "/index-1": name: "data"`) + "\napp: configMaps: \"job-success-count\": data: a: \"b\"",
			Check: func(r *Run) {
				if j := r.Job("job-success-count", "Complete"); j.Reason != "SuccessPolicy" {
					r.Fatalf("it is %+v", j)
				}
			},
		},
		cronCase(),
	}
}

// cronCase is one CronJob of each policy that are all due every minute.
func cronCase() Case {
	return Case{
		Name: "cron", Rows: rows("apps/cronjob.go", "CronJob AllowConcurrent", "CronJob ForbidConcurrent", "CronJob ReplaceConcurrent", "CronJob Suspend"), Items: []int{120},
		CUE: `_cron: {kind: "CronJob", schedule: "* * * * *", containers: main: _witness & {args: ["wait"]}, ...}
app: pods: {
	"cron-allow": _cron & {concurrencyPolicy: "Allow"}
	"cron-forbid": _cron & {concurrencyPolicy: "Forbid"}
	"cron-replace": _cron & {concurrencyPolicy: "Replace"}
	"cron-suspend": _cron & {suspend: true}
}`,
		Check: func(r *Run) {
			active := func(name string) (jobs, running int) {
				for _, j := range r.world.status().Jobs {
					if j.CronJob == name {
						jobs++
						running += j.Active
					}
				}
				return jobs, running
			}
			var replaced string
			r.Wait("they run at their times", func() error {
				for _, j := range r.world.status().Jobs {
					if j.CronJob == "cron-replace" && replaced == "" {
						replaced = j.Name
					}
				}
				if _, n := active("cron-allow"); n < 2 {
					return fmt.Errorf("of cron-allow %d run", n)
				}
				return nil
			})
			r.Wait("one was replaced", func() error {
				for _, j := range r.world.status().Jobs {
					if j.CronJob == "cron-replace" && j.Name == replaced {
						return fmt.Errorf("it is still there: %+v", j)
					}
				}
				if _, n := active("cron-replace"); n != 1 {
					return fmt.Errorf("%d run", n)
				}
				return nil
			})
			if _, n := active("cron-forbid"); n != 1 {
				r.Fatalf("of cron-forbid %d run", n)
			}
			if n, _ := active("cron-suspend"); n != 0 {
				r.Fatalf("of cron-suspend there are %d", n)
			}
		},
	}
}
