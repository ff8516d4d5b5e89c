// Dnsoracle asks the real CoreDNS, with its kubernetes plugin, and the
// name server of our pods the same questions about the same services, and says
// where the answers differ.
//
// CoreDNS runs in the process and believes to be in a cluster: a small HTTP
// server lists and watches the namespace, the services and the endpoint slices
// that a table of services comes to. Both name servers are asked over sockets
// and have the same upstream server. It is a module of its own, for what CoreDNS
// needs is a hundred modules that nothing else of ours does.
package main
