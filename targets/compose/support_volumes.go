package compose

import "github.com/cuepod/cuepod/targets"

func supportOfMounts() targets.Support {
	s := targets.Support{}
	of(s, "VolumeMount", exact(""), "name readOnly")
	of(s, "VolumeMount", some("compose/sub-path", "compose/sub-path-read-only"), "subPath")
	of(s, "VolumeMount", some("compose/sub-path", "compose/field-ref"), "subPathExpr")
	of(s, "VolumeMount", exact("nothing is mounted below a volume, but for hostPath"), "recursiveReadOnly")
	of(s, "VolumeMount", some("compose/mount-options"), "mountPropagation")
	of(s, "VolumeMount", targets.Field{Level: targets.Cannot, Codes: []string{"compose/mount-options"}}, "bindMountOptions")
	return s
}

func supportOfVolumes() targets.Support {
	s := targets.Support{}
	of(s, "Volume", made("compose/empty-dir"), "emptyDir ephemeral")
	of(s, "Volume", made("compose/files"), "configMap secret downwardAPI projected")
	of(s, "Volume", exact(""), "persistentVolumeClaim nfs")
	of(s, "Volume", exact("a path of the machine that the engine runs on"), "hostPath")
	of(s, "Volume", made("compose/image-volume"), "image")
	of(s, "Volume", targets.Field{Level: targets.Cannot, Codes: []string{"compose/kubernetes", "compose/kubernetes-volume"}}, "kubernetes")
	of(s, "Volume", says("compose/cluster-volume", "an empty directory is in its place: only a cluster has such a volume", "use a claim or hostPath"),
		"gcePersistentDisk awsElasticBlockStore gitRepo iscsi glusterfs rbd flexVolume cinder cephfs flocker fc azureFile vsphereVolume quobyte azureDisk photonPersistentDisk portworxVolume scaleIO storageos csi")

	of(s, "EmptyDirVolumeSource", some("compose/huge-pages"), "medium")
	of(s, "EmptyDirVolumeSource", some("compose/size-limit"), "sizeLimit")
	of(s, "EmptyDirVolumeSource", exact(""), "mode")
	of(s, "PersistentVolumeClaimVolumeSource", exact(""), "claimName readOnly")
	of(s, "HostPathVolumeSource", exact(""), "path")
	of(s, "HostPathVolumeSource", some("compose/host-path"), "type")
	of(s, "NFSVolumeSource", exact(""), "server path readOnly")
	of(s, "ImageVolumeSource", made("compose/image-volume"), "reference pullPolicy")

	of(s, "ConfigMapVolumeSource", exact(""), "name items defaultMode optional")
	of(s, "SecretVolumeSource", exact(""), "secretName items defaultMode optional")
	of(s, "DownwardAPIVolumeSource", exact(""), "items defaultMode")
	of(s, "ProjectedVolumeSource", exact(""), "sources defaultMode")
	for _, definition := range []string{"ConfigMapVolumeSource", "SecretVolumeSource", "DownwardAPIVolumeSource", "ProjectedVolumeSource"} {
		of(s, definition, targets.Field{Level: targets.Cannot, Codes: []string{"compose/file-owner"}}, "defaultUser")
	}
	of(s, "KeyToPath", exact(""), "path mode")
	of(s, "KeyToPath", targets.Field{Level: targets.Cannot, Codes: []string{"compose/file-owner"}}, "user")
	of(s, "DownwardAPIVolumeFile", some("compose/field-ref"), "fieldRef resourceFieldRef")
	of(s, "DownwardAPIVolumeFile", exact(""), "mode")
	of(s, "DownwardAPIVolumeFile", targets.Field{Level: targets.Cannot, Codes: []string{"compose/file-owner"}}, "user")

	of(s, "VolumeProjection", exact(""), "secret configMap downwardAPI")
	of(s, "VolumeProjection", says("compose/cluster-file", "the file is missing: only a cluster can make it", ""), "serviceAccountToken clusterTrustBundle podCertificate")
	of(s, "SecretProjection", exact(""), "name items optional")
	of(s, "ConfigMapProjection", exact(""), "name items optional")
	of(s, "DownwardAPIProjection", exact(""), "items")

	of(s, "EphemeralVolumeSource", made("compose/claim"), "volumeClaimTemplate")
	of(s, "PersistentVolumeClaimTemplate", exact(""), "metadata")
	of(s, "PersistentVolumeClaimTemplate", made("compose/claim"), "spec")
	of(s, "TemplateMetadata", some("compose/label-reserved"), "labels")
	of(s, "TemplateMetadata", says("compose/claim-metadata", "the annotations are left out: a volume of the engine has none", ""), "annotations")
	claims(s, "PersistentVolumeClaimSpec", "accessModes resources storageClassName")
	of(s, "VolumeResourceRequirements", made("compose/claim"), "requests limits")
	of(s, "StorageList", made("compose/claim"), "storage")
	return s
}
