package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// The kernel's queue of packets. Source: include/uapi/linux/netfilter/nfnetlink_queue.h.
const (
	queuePacket  = unix.NFNL_SUBSYS_QUEUE << 8
	queueVerdict = unix.NFNL_SUBSYS_QUEUE<<8 | 1
	queueConfig  = unix.NFNL_SUBSYS_QUEUE<<8 | 2

	queueBind       = 1
	queueCopyPacket = 2

	cfgCommand, cfgParams, cfgMaxLen = 1, 2, 3

	attrPacket, attrVerdict, attrPayload = 1, 2, 10

	verdictAccept = 1

	// queueCopy is how much of a packet is looked at: the longest header of IPv4, and
	// that of UDP.
	queueCopy = 60 + 8
	// queueBuffer is for the kernel's messages, of MaxQueued packets at once.
	queueBuffer = 2 << 20
)

// Queue keeps datagrams to ports of the pod in the kernel. All methods are safe
// for concurrent use, and return when the kernel has done what they say.
type Queue struct {
	self netip.Addr

	mu      sync.Mutex
	sock    *socket
	packets *os.File // nil until a port is held for the first time
	held    []uint16
	waiting map[uint16][]uint32 // numbers of packets, by port
}

// NewQueue makes one for the pod with the address self. It asks nothing of the
// kernel until a port is held.
func NewQueue(self netip.Addr) *Queue { return &Queue{self: self, waiting: map[uint16][]uint32{}} }

// Hold has datagrams to these ports wait, up to MaxQueued of them. The error says
// what the kernel or the engine does not allow: they then go on.
func (q *Queue) Hold(ports ...uint16) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.open(); err != nil {
		return fmt.Errorf("keep datagrams: %w", err)
	}
	held := slices.Compact(slices.Sorted(slices.Values(slices.Concat(q.held, ports))))
	if err := q.change(unix.NFT_MSG_NEWSETELEM, missing(held, q.held)); err != nil {
		return fmt.Errorf("keep datagrams: %w", err)
	}
	q.held = held
	return nil
}

// Release lets datagrams pass, and those that wait, in the order in which they came.
func (q *Queue) Release(ports ...uint16) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.packets == nil {
		return nil
	}
	var gone []uint16
	q.held = slices.DeleteFunc(slices.Clone(q.held), func(h uint16) bool {
		if slices.Contains(ports, h) {
			gone = append(gone, h)
		}
		return slices.Contains(ports, h)
	})
	err := q.change(unix.NFT_MSG_DELSETELEM, gone)
	for _, port := range ports {
		for _, id := range q.waiting[port] {
			err = errors.Join(err, q.accept(id))
		}
		delete(q.waiting, port)
	}
	return err
}

// Close lets all datagrams pass.
func (q *Queue) Close() error {
	err := q.Release(q.held...)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.packets != nil {
		err = errors.Join(err, q.packets.Close(), q.sock.transact([]message{Table{Name: QueueTable}.remove()}))
		q.sock.close()
		q.packets = nil
	}
	return err
}

// change adds ports to the set of those that are held, or removes them.
func (q *Queue) change(kind uint16, list []uint16) error {
	return reason(q.sock.transact(elements(kind, QueueTable, HeldSet, ports(list))))
}

// makeTable makes the table, with whatever this kernel has.
func (q *Queue) makeTable() error {
	var errs []error
	for _, xtables := range []bool{false, true} {
		err := q.sock.transact(QueueRules(q.self, xtables).create())
		if err == nil {
			return nil
		}
		errs = append(errs, reason(err))
	}
	return errs[0]
}

// open binds the queue and makes the table, once. The table stays: when a hook of a
// network namespace goes, the kernel drops all that is queued there.
func (q *Queue) open() error {
	if q.packets != nil {
		return nil
	}
	sock, err := openSocket()
	if err != nil {
		return err
	}
	q.sock = sock
	fd, err := bindQueue()
	if err == nil {
		err = q.makeTable()
	}
	if err != nil {
		if fd > 0 {
			unix.Close(fd)
		}
		sock.close()
		return err
	}
	q.packets = os.NewFile(uintptr(fd), "queue of packets")
	go q.receive(q.packets)
	return nil
}

// bindQueue makes a socket to which the kernel tells of packets in the queue.
func bindQueue() (int, error) {
	s, err := openSocket()
	if err != nil {
		return 0, err
	}
	config := func(kind uint16, value []byte) error {
		var a attrs
		a.bytes(kind, value)
		return s.ask(message{kind: queueConfig, family: unix.AF_UNSPEC, resource: QueueNumber, body: a.b}, func([]byte) {})
	}
	be := binary.BigEndian
	err = config(cfgCommand, be.AppendUint16([]byte{queueBind, 0}, unix.AF_INET))
	if err == nil {
		err = config(cfgParams, append(be.AppendUint32(nil, queueCopy), queueCopyPacket))
	}
	if err == nil {
		err = config(cfgMaxLen, be.AppendUint32(nil, MaxQueued))
	}
	if err == nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueBuffer)
		err = unix.SetNonblock(s.fd, true) // so that to close it ends the read
	}
	if err != nil {
		s.close()
		return 0, err
	}
	return s.fd, nil
}

// receive notes every packet that is in the queue, until the socket is closed.
func (q *Queue) receive(f *os.File) {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EINTR) {
			continue // more came than there was room for: those are lost
		}
		if err != nil {
			return // closed
		}
		q.mu.Lock()
		_ = eachMessage(buf[:n], func(h unix.NlMsghdr, body []byte) { // one that is cut short is the last
			if h.Type != queuePacket || len(body) < sizeofNfgenmsg {
				return
			}
			id, port, ok := parsePacket(body[sizeofNfgenmsg:])
			switch {
			case !ok:
			case slices.Contains(q.held, port):
				q.waiting[port] = append(q.waiting[port], id)
			default: // it was on its way here when the port was released
				_ = q.accept(id)
			}
		})
		q.mu.Unlock()
	}
}

// accept lets one packet go on. The caller holds the lock.
func (q *Queue) accept(id uint32) error {
	var a attrs
	a.bytes(attrVerdict, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, verdictAccept), id))
	s := socket{}
	_, err := q.packets.Write(s.append(nil, message{kind: queueVerdict, family: unix.AF_INET, resource: QueueNumber, body: a.b}))
	return err
}

// parsePacket reads the number of a packet, and the port that it is for.
func parsePacket(body []byte) (id uint32, port uint16, ok bool) {
	var packet []byte
	eachAttr(body, func(kind uint16, value []byte) {
		switch {
		case kind == attrPacket && len(value) >= 4:
			id, ok = binary.BigEndian.Uint32(value), true
		case kind == attrPayload:
			packet = value
		}
	})
	if len(packet) == 0 {
		return id, 0, ok
	}
	if header := int(packet[0]&15) * 4; len(packet) >= header+4 {
		port = binary.BigEndian.Uint16(packet[header+2:])
	}
	return id, port, ok
}
