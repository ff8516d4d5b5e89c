package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/cuepod/cuepod/internal/dnsbench"
)

// measure asks CoreDNS and ours for one service, over and over.
func measure() error {
	upstream, stop, err := startUpstream()
	if err != nil {
		return err
	}
	defer stop()
	table := newTable(rand.New(rand.NewPCG(1, 0)), 10)
	table.services = append(table.services, service{name: "measured", virtual: "10.1.2.99", ports: []servicePort{{"http", "TCP", 80}}})
	api := table.cluster().serve()
	defer api.Close()
	defer api.CloseClientConnections()
	theirs, err := StartCoreDNS(api.URL, upstream)
	if err != nil {
		return err
	}
	defer theirs.Close()
	ours, stopOurs, err := startOurs(&table, upstream)
	if err != nil {
		return err
	}
	defer stopOurs()
	query := dnsbench.Query("measured." + namespace + ".svc.cluster.local.")
	for _, c := range []int{1, 8} {
		results, err := dnsbench.Run([]dnsbench.Server{{Name: "CoreDNS 1.15.0", Addr: theirs.UDP, Query: query}, {Name: "ours", Addr: ours, Query: query}}, c, 60)
		if err != nil {
			return err
		}
		fmt.Print(dnsbench.Table(results))
	}
	return nil
}
