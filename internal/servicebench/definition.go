package main

// definition is the app: a server, a client, and two proxies before the server,
// which look it up when they start.
const definition = `package bench

import "cuepod.dev/core"

app: core.#App & {
	name: "@APP@"
	pods: server: containers: main: {image: "@IMAGE@", imagePullPolicy: "Never", args: ["serve"], readinessProbe: tcpSocket: port: 8081}
	pods: client: containers: main: {image: "@IMAGE@", imagePullPolicy: "Never", args: ["wait"]}
	pods: haproxy: _proxy & {containers: main: {image: "haproxy:2.6", command: ["haproxy", "-f", "/conf/haproxy.cfg"]}}
	pods: nginx: _proxy & {containers: main: {image: "nginx:1.29", command: ["nginx", "-c", "/conf/nginx.conf"]}}
	services: server: {
		pod: "server"
		ports: tcp: port: 8080
		ports: udp: {port: 8080, protocol: "UDP"}
		ports: http: port: 8081
	}
	services: direct: {pod: "server", headless: true, ports: {}}
	configMaps: proxies: data: {
		"haproxy.cfg": """
			global
			    maxconn 1000
			defaults
			    timeout connect 5s
			    timeout client 60s
			    timeout server 60s
			listen tcp
			    bind :8080
			    mode tcp
			    server s direct:8080
			listen http
			    bind :8081
			    mode http
			    server s direct:8081

			"""
		"nginx.conf": """
			load_module /usr/lib/nginx/modules/ngx_stream_module.so;
			worker_processes auto;
			daemon off;
			pid /run/nginx.pid;
			error_log /dev/stderr;
			events { worker_connections 4096; }
			http {
			    access_log off;
			    upstream server { server direct:8081; keepalive 16; }
			    server {
			        listen 8081;
			        keepalive_requests 100000000;
			        location / { proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; }
			    }
			}
			stream {
			    server { listen 8080; proxy_pass direct:8080; }
			    server { listen 8080 udp; proxy_pass direct:8080; }
			}
			"""
	}
}

_proxy: {
	dependsOn: server: {}
	containers: main: {
		imagePullPolicy: "Never"
		volumeMounts: "/conf": name: "conf"
		readinessProbe: tcpSocket: port: 8081
		...
	}
	volumes: conf: configMap: name: "proxies"
	...
}
`
