package docker

import (
	"fmt"
	"strings"
)

// Links are the variables by which containers find services that are there
// when they start, by Kubernetes' rules (pkg/kubelet/envvars): host and ports,
// and those that Docker's links made. address gives a service's virtual IP, or
// "" for one that has none: headless services have no variables. There is no
// service kubernetes, as there is no API for it to lead to.
func Links(services []Service, address func(service string) string) map[string]string {
	vars := map[string]string{}
	for i := range services {
		s := &services[i]
		ip := address(s.Name)
		if !s.Virtual() || ip == "" || len(s.Ports) == 0 {
			continue
		}
		prefix := variableName(s.Name)
		vars[prefix+"_SERVICE_HOST"] = ip
		vars[prefix+"_SERVICE_PORT"] = fmt.Sprint(s.Ports[0].Port)
		for n, p := range s.Ports {
			if p.Name != "" {
				vars[prefix+"_SERVICE_PORT_"+variableName(p.Name)] = fmt.Sprint(p.Port)
			}
			protocol := strings.ToLower(p.Protocol)
			url := fmt.Sprintf("%s://%s:%d", protocol, ip, p.Port)
			if n == 0 {
				vars[prefix+"_PORT"] = url
			}
			port := fmt.Sprintf("%s_PORT_%d_%s", prefix, p.Port, strings.ToUpper(protocol))
			vars[port] = url
			vars[port+"_PROTO"], vars[port+"_PORT"], vars[port+"_ADDR"] = protocol, fmt.Sprint(p.Port), ip
		}
	}
	return vars
}

func variableName(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}
