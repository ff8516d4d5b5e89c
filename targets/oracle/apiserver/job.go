package apiserver

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/job"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/batch"
	batchvalidation "k8s.io/kubernetes/pkg/apis/batch/validation"
)

// validateJob gives a Job the selector and the labels that a server gives it,
// and validates it.
func validateJob(ctx context.Context, j *batch.Job) (field.ErrorList, []string, error) {
	j.UID = "1d9a7a0e-0000-4000-8000-000000000000"
	template := &j.Spec.Template
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	for name, value := range map[string]string{
		batch.LegacyJobNameLabel: j.Name, batch.JobNameLabel: j.Name,
		batch.LegacyControllerUidLabel: string(j.UID), batch.ControllerUidLabel: string(j.UID),
	} {
		if _, ok := template.Labels[name]; !ok {
			template.Labels[name] = value
		}
	}
	if j.Spec.Selector == nil {
		j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{batch.ControllerUidLabel: string(j.UID)}}
	}
	options := batchvalidation.JobValidationOptions{PodValidationOptions: pod.GetValidationOptionsFromPodTemplate(template, nil), RequirePrefixedLabels: true}
	return batchvalidation.ValidateJobCreate(j, options), job.WarningsForJobSpec(ctx, field.NewPath("spec"), &j.Spec, nil), nil
}
