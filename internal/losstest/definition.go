package main

import (
	"fmt"
	"strconv"

	"github.com/cuepod/cuepod/compiler/app"
)

// Names of what the app is made of.
const (
	web    = "web"    // replicas that are changed one after the other
	solo   = "solo"   // one replica, which is swapped
	asker  = "client" // asks both from within
	askers = 7000     // the port under which it is told what to do
)

// images are two references of one image, so that an image can change.
var images = [2]string{"cuepod-losstest:1", "cuepod-losstest:2"}

// shape is a variant of the app: a change is the step from one to another.
type shape struct {
	replicas int // of web
	image    int // of images
	port     int // the first of three that web listens on
	env      int // a variable of web
	swap     int // a variable of solo
}

// firstPort is where web listens at first; a change of the port is one of these
// two to the other.
const firstPort, otherPort = 8100, 8200

// start is the app before any change.
func start() shape { return shape{replicas: 2, port: firstPort} }

// change is a step from one shape to another.
type change struct {
	name string
	to   func(shape) shape
}

// rolling are the changes that web goes through in turn, while it has two
// replicas or more.
func rolling() []change {
	return []change{
		{"env", func(s shape) shape { s.env++; return s }},
		{"image", func(s shape) shape { s.image = 1 - s.image; return s }},
		{"scale up", func(s shape) shape { s.replicas = 3; return s }},
		{"port", func(s shape) shape { s.port = firstPort + otherPort - s.port; return s }},
		{"scale down", func(s shape) shape { s.replicas = 2; return s }},
	}
}

func swap() change {
	return change{"swap", func(s shape) shape { s.swap++; return s }}
}

// hostPorts are the ports of the host under which web and solo are published,
// three each.
type hostPorts map[string]int

// define is the app in one of its shapes.
func define(name string, s shape, ports hostPorts, rude bool) *app.App {
	how := "serve"
	if rude {
		how = "serve-rudely"
	}
	return &app.App{
		Name: name,
		Pods: []app.Pod{
			server(web, how, s.replicas, s.image, s.port, s.env),
			server(solo, how, 1, 0, firstPort, s.swap),
			{Name: asker, Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 2, Containers: []app.Container{
				{Name: "main", Image: images[0], ImagePullPolicy: "Never", Args: []string{"ask", strconv.Itoa(askers)}, ReadinessProbe: tcpProbe(app.PortRef{Number: askers})},
			}},
		},
		Services: []app.Service{service(web, ports), service(solo, ports)},
	}
}

func server(name, how string, replicas, image, port, env int) app.Pod {
	c := app.Container{
		Name: "main", Image: images[image], ImagePullPolicy: "Never",
		Args: []string{how, strconv.Itoa(port), strconv.Itoa(port + 1), strconv.Itoa(port + 2)},
		Env:  []app.EnvVar{{Name: "CHANGE", Value: fmt.Sprint(env)}},
		Ports: []app.ContainerPort{
			{Name: "http", ContainerPort: port, Protocol: "TCP"},
			{Name: "words", ContainerPort: port + 1, Protocol: "TCP"},
			{Name: "datagrams", ContainerPort: port + 2, Protocol: "UDP"},
		},
		ReadinessProbe: tcpProbe(app.PortRef{Name: "http"}),
	}
	return app.Pod{Name: name, Kind: "Deployment", Replicas: replicas, TerminationGracePeriodSeconds: 10, Containers: []app.Container{c}}
}

func tcpProbe(port app.PortRef) *app.Probe {
	return &app.Probe{TCPSocket: &app.TCPSocketAction{Port: port}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
}

// Ports of the services, which never change.
const (
	httpPort  = 80
	wordsPort = 81
	udpPort   = 82
)

func service(name string, ports hostPorts) app.Service {
	port := func(portName string, number int, protocol string) app.ServicePort {
		return app.ServicePort{Name: portName, Port: number, Protocol: protocol, TargetPort: app.PortRef{Name: portName}, NodePort: ports[name+" "+portName]}
	}
	return app.Service{Name: name, Pod: name, Type: "NodePort", SessionAffinity: "None", Ports: []app.ServicePort{
		port("http", httpPort, "TCP"), port("words", wordsPort, "TCP"), port("datagrams", udpPort, "UDP"),
	}}
}
