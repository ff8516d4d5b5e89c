package docker

import "github.com/cuepod/cuepod/targets"

// fields gives several fields one meaning here.
func fields(level targets.Level, code, says, hint string, names ...string) targets.Support {
	s := targets.Support{}
	for _, name := range names {
		s[name] = targets.Field{Level: level, Codes: []string{code}, Says: says, Hint: hint}
	}
	return s
}

func merge(all ...targets.Support) targets.Support {
	out := targets.Support{}
	for _, s := range all {
		for name, f := range s {
			out[name] = f
		}
	}
	return out
}

// emulated keep what they are for by other means, whatever their value.
func emulated() targets.Support {
	say := func(code, says string, names ...string) targets.Support {
		return fields(targets.Emulated, code, says, "", names...)
	}
	return merge(
		say("docker/scheduling", "one machine has nothing to choose between",
			"Pod.nodeSelector", "Pod.nodeName", "Pod.affinity", "Pod.schedulerName", "Pod.tolerations",
			"Pod.priorityClassName", "Pod.priority", "Pod.preemptionPolicy", "Pod.topologySpreadConstraints", "Pod.schedulingGroup"),
		say("docker/scheduling", "nobody empties this machine", "Pod.disruptionBudget", "Pod.evictionResponders"),
		say(codeRollout, "earlier revisions are not kept: the definition's history is", "Pod.revisionHistoryLimit"),
		say("docker/pull-secret", "images are pulled with your own credentials", "Pod.imagePullSecrets"),
		say("docker/resize", "a change of resources makes a new container", "Container.resizePolicy"),
		say("docker/ephemeral", "it is an empty directory without a size", "Volume.ephemeral"),
		say(codeClaimSize, "a volume of the engine has no size", "PersistentVolumeClaim.storage"),
		say(codeRouter, "the app's own gateway serves it", "Ingress.ingressClassName", "HTTPRoute.parentRefs"),
		say(codeRouter, "the gateway makes the certificate itself", "IngressTLS.secretName"),
	)
}

// lost have no effect here, whatever their value.
func lost() targets.Support {
	say := func(code, says string, names ...string) targets.Support {
		return fields(targets.Cannot, code, says, "", names...)
	}
	return merge(
		lostOfPods(), lostOfContainers(), lostOfVolumes(),
		say("docker/network-policy", "every pod may talk to every pod", "App.networkPolicies"),
		say(codeRoute, "the gateway mirrors no requests", "HTTPRouteFilter.requestMirror"),
		say(codeRoute, "the gateway answers no CORS requests: the service has to", "HTTPRouteFilter.cors"),
		say(codeRoute, "the filter is a cluster's, and left out", "HTTPRouteFilter.extensionRef"),
		say(codeAccount, "there is no Kubernetes API here that an account could use", "App.serviceAccounts"),
		say(codeAddress, "the service is published on 127.0.0.1 alone",
			"Service.externalIPs", "Service.loadBalancerIP", "Service.loadBalancerSourceRanges", "Service.loadBalancerClass", "Service.healthCheckNodePort"),
	)
}

func lostOfPods() targets.Support {
	say := func(code, says string, names ...string) targets.Support {
		return fields(targets.Cannot, code, says, "", names...)
	}
	return merge(
		say("docker/autoscaling", "replicas do not follow the load: the least number runs", "Pod.autoscaling"),
		say(codeAccount, "there is no Kubernetes API here that the pod could be known to", "Pod.serviceAccountName"),
		say("docker/gate", "nobody waits for the gate", "Pod.readinessGates", "Pod.schedulingGates"),
		say("docker/device", "no devices are allotted", "Pod.resourceClaims", "ResourceRequirements.claims"),
		say(codeResource, "the pod as a whole has no limits", "Pod.resources"),
		say(codeIsolation, "the engine's own runtime runs the containers", "Pod.runtimeClassName"),
		say(codeIsolation, "the engine labels processes in its own way",
			"SecurityContext.seLinuxOptions", "PodSecurityContext.seLinuxOptions", "PodSecurityContext.seLinuxChangePolicy"),
		say(codeIsolation, "containers are Linux's",
			"SecurityContext.windowsOptions", "PodSecurityContext.windowsOptions"),
		say(codeIsolation, "groups of the image are added as well", "PodSecurityContext.supplementalGroupsPolicy"),
		say(codeJob, "the job is run here, by nobody else", "Pod.managedBy"),
	)
}

func lostOfContainers() targets.Support {
	say := func(code, says string, names ...string) targets.Support {
		return fields(targets.Cannot, code, says, "", names...)
	}
	return merge(
		say(codeBlockDevice, "there are no raw block devices", "Container.volumeDevices"),
		fields(targets.Cannot, "docker/hook-kind", "the hook is not run: a kubelet has no way to run it either, and kills a container whose postStart it is",
			"make it exec, httpGet or sleep", "LifecycleHandler.tcpSocket"),
		say(codeMountOption, "the volume is mounted without the option", "VolumeMount.bindMountOptions"),
		say(codeProbe, "the probe speaks the plain protocol", "HTTPGetAction.protocol", "GRPCAction.mode"),
	)
}

func lostOfVolumes() targets.Support {
	say := func(code, says string, names ...string) targets.Support {
		return fields(targets.Cannot, code, says, "", names...)
	}
	return merge(
		say("docker/volume", "an empty directory is in its place",
			"Volume.gcePersistentDisk", "Volume.awsElasticBlockStore", "Volume.gitRepo", "Volume.nfs", "Volume.iscsi",
			"Volume.glusterfs", "Volume.rbd", "Volume.flexVolume", "Volume.cinder", "Volume.cephfs", "Volume.flocker",
			"Volume.fc", "Volume.azureFile", "Volume.vsphereVolume", "Volume.quobyte", "Volume.azureDisk",
			"Volume.photonPersistentDisk", "Volume.portworxVolume", "Volume.scaleIO", "Volume.storageos", "Volume.csi"),
		say("docker/projection", "the file is not there: only a cluster gives it out",
			"VolumeProjection.serviceAccountToken", "VolumeProjection.clusterTrustBundle", "VolumeProjection.podCertificate"),
		say(codeClaimClass, "a local engine has no storage classes", "PersistentVolumeClaim.storageClassName", "PersistentVolumeClaim.volumeAttributesClassName"),
		say(codeClaimClass, "the claim has a new volume of the engine", "PersistentVolumeClaim.selector", "PersistentVolumeClaim.volumeName"),
		say(codeClaimSource, "the claim begins empty", "PersistentVolumeClaim.dataSource", "PersistentVolumeClaim.dataSourceRef"),
	)
}
