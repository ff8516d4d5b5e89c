package check

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// sources lists what a volume can come from, and whether it does.
func sources(v *app.Volume) []choice {
	return []choice{
		{"emptyDir", v.EmptyDir != nil}, {"configMap", v.ConfigMap != nil}, {"secret", v.Secret != nil},
		{"persistentVolumeClaim", v.Claim != nil}, {"projected", v.Projected != nil}, {"downwardAPI", v.DownwardAPI != nil},
		{"hostPath", v.HostPath != nil}, {"ephemeral", v.Ephemeral != nil}, {"image", v.Image != nil}, {"csi", v.CSI != nil},
		{"nfs", v.NFS != nil}, {"iscsi", v.ISCSI != nil}, {"fc", v.FC != nil}, {"flexVolume", v.FlexVolume != nil},
		{"awsElasticBlockStore", v.AWSElasticBlockStore != nil}, {"azureDisk", v.AzureDisk != nil}, {"azureFile", v.AzureFile != nil},
		{"gcePersistentDisk", v.GCEPersistentDisk != nil}, {"vsphereVolume", v.VsphereVolume != nil}, {"portworxVolume", v.PortworxVolume != nil},
		{"cinder", v.Cinder != nil}, {"cephfs", v.CephFS != nil}, {"rbd", v.RBD != nil}, {"glusterfs", v.Glusterfs != nil},
		{"flocker", v.Flocker != nil}, {"gitRepo", v.GitRepo != nil}, {"quobyte", v.Quobyte != nil},
		{"photonPersistentDisk", v.PhotonPersistentDisk != nil}, {"scaleIO", v.ScaleIO != nil}, {"storageos", v.StorageOS != nil},
	}
}

func (c *checker) volume(p *app.Pod, v *app.Volume, at place) {
	c.oneSource(v, at)
	switch {
	case v.EmptyDir != nil:
		c.emptyDir(v.EmptyDir, at.field("emptyDir").at(v.EmptyDir.Pos))
	case v.Claim != nil:
		if c.app.Claim(v.Claim.ClaimName) == nil {
			at.missing("persistentVolumeClaim", v.Claim.ClaimName, "the app", c.claimNames())
		}
	case v.HostPath != nil:
		c.hostPath(v.HostPath, at.field("hostPath").at(v.HostPath.Pos))
	case v.Ephemeral != nil:
		c.ephemeral(v.Ephemeral, at.field("ephemeral").at(v.Ephemeral.Pos))
	case v.Image != nil:
		image := at.field("image").at(v.Image.Pos)
		if v.Image.Reference == "" {
			image.refuse("it names no image").hint("add reference: \"NAME:TAG\"")
			return
		}
		c.image(v.Image.Reference, image.field("reference"))
	}
	c.fileSource(p, v, at)
	c.networkSource(v, at)
	c.diskSource(v, at)
}

// shownSources are those that a message lists when a volume has none.
const shownSources = 6

// oneSource wants exactly one source, of ours or of the hatch.
func (c *checker) oneSource(v *app.Volume, at place) {
	set, all := chosen(sources(v)...)
	all = append(all[:shownSources:shownSources], "...")
	if v.Kubernetes != nil {
		all = append(all[:shownSources], "kubernetes")
		for _, f := range v.Kubernetes.Raw.Items {
			if !slices.Contains(set, f.Name) && f.Name != "name" {
				set = append(set, f.Name)
			}
		}
	}
	c.exactlyOne(at.pos, at.path, "source", set, all)
}

func (c *checker) emptyDir(e *app.EmptyDir, at place) {
	if e.SizeLimit != "" {
		c.quantity(at.pos, at.field("sizeLimit").path, e.SizeLimit)
	}
	at.field("mode").fileMode(e.Mode, 0o1777)
}

func (c *checker) hostPath(h *app.HostPathVolumeSource, at place) {
	if !path.IsAbs(h.Path) || !noBacksteps(h.Path) {
		at.field("path").refuse("%q must be an absolute path without \"..\"", h.Path)
	}
	at.field("type").oneOf(h.Type, "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
}

func (c *checker) ephemeral(e *app.EphemeralVolumeSource, at place) {
	t := e.VolumeClaimTemplate
	if t == nil || t.Spec == nil {
		at.refuse("it has no volumeClaimTemplate").hint("add volumeClaimTemplate: spec: resources: requests: storage: AMOUNT")
		return
	}
	at = at.field("volumeClaimTemplate").at(t.Pos)
	if t.ObjectMeta != nil {
		metadata := at.field("metadata").at(t.ObjectMeta.Pos)
		c.meta(metadata.path+".", metadata.pos, t.ObjectMeta.Labels, t.ObjectMeta.Annotations)
	}
	s := t.Spec
	spec := at.field("spec").at(s.Pos)
	c.accessModes(s.AccessModes, spec.field("accessModes"))
	if len(s.AccessModes) == 0 {
		spec.refuse("it has no accessModes").hint("add accessModes: [\"ReadWriteOnce\"]")
	}
	var storage app.Quantity
	if s.Resources != nil && s.Resources.Requests != nil {
		storage = s.Resources.Requests.Storage
	}
	if storage == "" {
		spec.refuse("it asks for no storage").hint("add resources: requests: storage: AMOUNT")
	} else {
		c.storage(storage, spec.field("resources", "requests", "storage"))
	}
	c.claimSpec(&claimRest{s.Selector, s.StorageClassName, s.VolumeAttributesClassName, s.DataSource, s.DataSourceRef}, spec)
}

// fileSource checks sources that are files of the app's own.
func (c *checker) fileSource(p *app.Pod, v *app.Volume, at place) {
	switch {
	case v.ConfigMap != nil:
		at := at.field("configMap").at(v.ConfigMap.Pos)
		at.field("defaultUser").id(v.ConfigMap.DefaultUser)
		c.files(v.ConfigMap.Files(), at, c.configMapKey)
	case v.Secret != nil:
		at := at.field("secret").at(v.Secret.Pos)
		at.field("defaultUser").id(v.Secret.DefaultUser)
		c.files(v.Secret.Files(), at, c.secretKey)
	case v.DownwardAPI != nil:
		at := at.field("downwardAPI").at(v.DownwardAPI.Pos)
		at.field("defaultMode").fileMode(v.DownwardAPI.DefaultMode, 0o777)
		at.field("defaultUser").id(v.DownwardAPI.DefaultUser)
		put := files{}
		c.downwardFiles(p, v.DownwardAPI.Items, at.field("items"), put)
		c.overlaps(put, at.field("items"))
	case v.Projected != nil:
		c.projected(p, v.Projected, at.field("projected").at(v.Projected.Pos))
	}
}

// networkSource checks sources that another machine serves.
func (c *checker) networkSource(v *app.Volume, at place) {
	switch {
	case v.NFS != nil:
		at.field("nfs").at(v.NFS.Pos).field("path").absolute(v.NFS.Path)
	case v.ISCSI != nil:
		c.iscsi(v, at.field("iscsi").at(v.ISCSI.Pos))
	case v.FC != nil:
		c.fibreChannel(v.FC, at.field("fc").at(v.FC.Pos))
	case v.CSI != nil:
		c.csi(v.CSI, at.field("csi").at(v.CSI.Pos))
	case v.CephFS != nil:
		at.field("cephfs").at(v.CephFS.Pos).field("monitors").some(v.CephFS.Monitors, "monitor")
	case v.RBD != nil:
		at.field("rbd").at(v.RBD.Pos).field("monitors").some(v.RBD.CephMonitors, "monitor")
	case v.FlexVolume != nil:
		c.flexVolume(v.FlexVolume, at.field("flexVolume").at(v.FlexVolume.Pos))
	case v.Cinder != nil:
		c.secretRef(v.Cinder.SecretRef, at.field("cinder").at(v.Cinder.Pos))
	case v.Flocker != nil:
		at := at.field("flocker").at(v.Flocker.Pos)
		at.one("dataset", choice{"datasetName", v.Flocker.DatasetName != ""}, choice{"datasetUUID", v.Flocker.DatasetUUID != ""})
		if strings.Contains(v.Flocker.DatasetName, "/") {
			at.field("datasetName").refuse("%q must be without \"/\"", v.Flocker.DatasetName)
		}
	case v.GitRepo != nil:
		at.field("gitRepo").at(v.GitRepo.Pos).field("directory").below(v.GitRepo.Directory)
	case v.Quobyte != nil:
		c.quobyte(v.Quobyte, at.field("quobyte").at(v.Quobyte.Pos))
	case v.ScaleIO != nil:
		at := at.field("scaleIO").at(v.ScaleIO.Pos)
		if v.ScaleIO.VolumeName == "" {
			at.refuse("it names no volume").hint("add volumeName: NAME")
		}
		if v.ScaleIO.SecretRef == nil {
			at.refuse("it names no secret").hint("add secretRef: name: NAME")
		}
	case v.StorageOS != nil:
		at := at.field("storageos").at(v.StorageOS.Pos)
		if v.StorageOS.VolumeName == "" {
			at.refuse("it names no volume").hint("add volumeName: NAME")
		}
		at.field("volumeName").dnsLabel(v.StorageOS.VolumeName)
		at.field("volumeNamespace").dnsLabel(v.StorageOS.VolumeNamespace)
		c.secretRef(v.StorageOS.SecretRef, at)
	}
}

// diskSource checks sources that are disks of a cloud.
func (c *checker) diskSource(v *app.Volume, at place) {
	const maxPartition = 255
	switch {
	case v.GCEPersistentDisk != nil:
		within(at.field("gcePersistentDisk").at(v.GCEPersistentDisk.Pos).field("partition"), &v.GCEPersistentDisk.Partition, 0, maxPartition)
	case v.AWSElasticBlockStore != nil:
		within(at.field("awsElasticBlockStore").at(v.AWSElasticBlockStore.Pos).field("partition"), &v.AWSElasticBlockStore.Partition, 0, maxPartition)
	case v.AzureDisk != nil:
		at := at.field("azureDisk").at(v.AzureDisk.Pos).field("diskURI")
		managed := strings.HasPrefix(v.AzureDisk.DataDiskURI, "/subscriptions/")
		if v.AzureDisk.Kind == "Managed" && !managed {
			at.refuse("%q is not the address of a managed disk", v.AzureDisk.DataDiskURI).hint("it begins with \"/subscriptions/\"")
		}
		if (v.AzureDisk.Kind == "Shared" || v.AzureDisk.Kind == "Dedicated" || v.AzureDisk.Kind == "") && !strings.HasPrefix(v.AzureDisk.DataDiskURI, "https://") {
			at.refuse("%q is not the address of a disk in a blob", v.AzureDisk.DataDiskURI).hint("it begins with \"https://\"; a managed disk needs kind: \"Managed\"")
		}
	}
}

// some wants a list to have something in it.
func (p place) some(list []string, what string) {
	if len(list) == 0 {
		p.refuse("there is no %s", what).hint("list at least one")
	}
}

// secretRef wants a reference to name a secret.
func (c *checker) secretRef(ref *app.LocalObjectReference, at place) {
	if ref == nil {
		return
	}
	at = at.field("secretRef").at(ref.Pos)
	if ref.Name == "" {
		at.refuse("it names no secret").hint("add name: NAME")
	}
	at.field("name").dnsName(ref.Name)
}

var (
	iqn = regexp.MustCompile(`^iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`)
	eui = regexp.MustCompile(`^eui.[[:alnum:]]{16}$`)
	naa = regexp.MustCompile(`^naa.[[:alnum:]]{32}$`)
)

const maxLUN = 255

func (c *checker) iscsi(v *app.Volume, at place) {
	s := v.ISCSI
	for _, f := range []struct{ name, value string }{{"iqn", s.IQN}, {"initiatorName", s.InitiatorName}} {
		if f.value != "" && !iqn.MatchString(f.value) && !eui.MatchString(f.value) && !naa.MatchString(f.value) {
			at.field(f.name).refuse("%q is not valid", f.value).hint("it looks like \"iqn.2001-04.example.com:storage\", or begins with eui or naa")
		}
	}
	within(at.field("lun"), &s.Lun, 0, maxLUN)
	if (s.DiscoveryCHAPAuth || s.SessionCHAPAuth) && s.SecretRef == nil {
		at.refuse("CHAP needs a secret").hint("add secretRef: name: NAME")
	}
	if name := v.Name + ":" + s.TargetPortal; s.InitiatorName != "" && len(name) > maxHostname {
		at.refuse("with an initiatorName the volume's name and the targetPortal have at most %d characters together, not %d", maxHostname, len(name)).hint("give the volume a shorter name")
	}
}

func (c *checker) fibreChannel(s *app.FCVolumeSource, at place) {
	at.one("target", choice{"targetWWNs", len(s.TargetWWNs) > 0}, choice{"wwids", len(s.WWIDs) > 0})
	if len(s.TargetWWNs) > 0 && s.Lun == nil {
		at.field("targetWWNs").refuse("they need a lun").hint("add lun: NUMBER")
	}
	within(at.field("lun"), s.Lun, 0, maxLUN)
}

func (c *checker) csi(s *app.CSIVolumeSource, at place) {
	if len(s.Driver) > maxLabel || !isDNSName(strings.ToLower(s.Driver)) {
		at.field("driver").refuse("%q is not the name of a driver", s.Driver).hint("it is a DNS name, such as \"csi.example.com\", of at most %d characters", maxLabel)
	}
	if ref := s.NodePublishSecretRef; ref != nil {
		at := at.field("nodePublishSecretRef").at(ref.Pos)
		if ref.Name == "" {
			at.refuse("it names no secret").hint("add name: NAME")
		}
		at.field("name").dnsName(ref.Name)
	}
}

func (c *checker) flexVolume(s *app.FlexVolumeSource, at place) {
	for _, key := range sortedKeys(s.Options) {
		domain, _, _ := strings.Cut(key, "/")
		if domain = "." + strings.ToLower(domain); strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io") {
			at.field("options").key(key).refuse("options of this domain are Kubernetes' own").hint("leave it out")
		}
	}
}

func (c *checker) quobyte(s *app.QuobyteVolumeSource, at place) {
	const maxTenant = 64
	for _, address := range strings.Split(s.Registry, ",") {
		if host, port, ok := strings.Cut(address, ":"); !ok || host == "" || port == "" || strings.Contains(port, ":") {
			at.field("registry").refuse("%q is not HOST:PORT", address)
		}
	}
	if len(s.Tenant) > maxTenant {
		at.field("tenant").refuse("it has %d characters; it can have %d", len(s.Tenant), maxTenant)
	}
}
