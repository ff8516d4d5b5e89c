package nft

import (
	"fmt"
	"net/netip"
)

const (
	// QueueTable is a table of its own, which is made when a port is held for the
	// first time: whose ports never are, has no rule for all its packets to pass.
	QueueTable = "cuepod_queue"
	// QueueNumber is of the kernel's queue.
	QueueNumber = 15002
	// MaxQueued is how many datagrams wait at most, in the kernel; more are lost.
	MaxQueued = 1024
)

// Enqueue has a packet wait in the kernel for a verdict. Where nobody takes them
// from the queue it goes on.
type Enqueue struct {
	Number uint16
	// Xtables asks for the target of iptables' NFQUEUE, for kernels that lack the
	// expression of nf_tables.
	Xtables bool
}

func (e Enqueue) String() string {
	if e.Xtables {
		return fmt.Sprintf("target NFQUEUE %d", e.Number)
	}
	return fmt.Sprintf("queue to %d, bypass", e.Number)
}

// QueueRules are those of a pod some of whose UDP ports are held. A datagram has
// no connection that could be led elsewhere and back: it waits as it is, and its
// server sees who sent it.
func QueueRules(self netip.Addr, xtables bool) Table {
	return Table{
		Name: QueueTable,
		Sets: []Set{{HeldSet, []Type{TypePort}, nil, false, 0}},
		Chains: []Chain{{"waiting", "filter", "input", 0, []Rule{
			{"datagrams to a held port wait in the kernel", []Expr{
				Load{Protocol, 0}, Compare{Reg: 0, Value: []byte{protocolUDP}}, Load{DstAddr, 0}, Compare{Reg: 0, Value: self.AsSlice()},
				Load{DstPort, 0}, Lookup{Set: HeldSet, Key: 0}, Enqueue{QueueNumber, xtables},
			}},
		}}},
	}
}
