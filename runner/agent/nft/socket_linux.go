package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// answerTimeout bounds the wait for the kernel's answer, which comes at once.
const answerTimeout = 5 * time.Second

const sizeofNfgenmsg = 4

// socket talks to the kernel's netfilter, over netlink. It belongs to the network
// namespace of the thread that opened it. It is not safe for concurrent use.
type socket struct {
	fd       int
	sequence uint32
	buf      []byte
}

func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Errors come without the message they are about, which can be larger than the
	// buffer for answers. Before Linux 4.3 they do not, and 32 KB hold most.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return &socket{fd: fd, buf: make([]byte, 32<<10)}, nil
}

func (s *socket) close() { unix.Close(s.fd) }

func (s *socket) append(b []byte, m message) []byte {
	ne := binary.NativeEndian
	s.sequence++
	b = ne.AppendUint32(b, uint32(unix.SizeofNlMsghdr+sizeofNfgenmsg+len(m.body)))
	b = ne.AppendUint16(b, m.kind)
	b = ne.AppendUint16(b, m.flags|unix.NLM_F_REQUEST)
	b = ne.AppendUint32(b, s.sequence)
	b = ne.AppendUint32(b, 0) // port: the kernel fills it in
	b = append(b, m.family, unix.NFNETLINK_V0)
	b = binary.BigEndian.AppendUint16(b, m.resource)
	return append(b, m.body...)
}

// transact has the kernel do all of the messages or none. The last one alone is
// acknowledged: an answer for each would overflow the socket (dozens of services
// are enough).
func (s *socket) transact(messages []message) error {
	if len(messages) == 0 {
		return nil
	}
	size := 2 * (unix.SizeofNlMsghdr + sizeofNfgenmsg)
	for _, m := range messages {
		size += unix.SizeofNlMsghdr + sizeofNfgenmsg + len(m.body)
	}
	edge := func(kind uint16) message { return message{kind: kind, resource: unix.NFNL_SUBSYS_NFTABLES} }
	b := s.append(make([]byte, 0, size), edge(unix.NFNL_MSG_BATCH_BEGIN))
	for i, m := range messages {
		if i == len(messages)-1 {
			m = m.with(unix.NLM_F_ACK)
		}
		b = s.append(b, m)
	}
	last := s.sequence
	b = s.append(b, edge(unix.NFNL_MSG_BATCH_END))
	if err := s.send(b); err != nil {
		return err
	}
	// The kernel tells of every message that failed, in order, and then of the last.
	// When it is the whole that failed, it tells of the first one.
	var failed error
	for done := false; !done; {
		err := s.receive(func(h unix.NlMsghdr, body []byte) {
			if h.Type != unix.NLMSG_ERROR || len(body) < 4 {
				return
			}
			if err := errorOf(body); err != nil {
				done = true
				failed = errors.Join(failed, err)
			}
			done = done || h.Seq == last
		})
		if err != nil {
			return err
		}
	}
	return failed
}

func errorOf(body []byte) error {
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// ask has one message answered outside of a batch, and calls each for every
// message of the answer.
func (s *socket) ask(m message, each func(body []byte)) error {
	if m.flags&unix.NLM_F_DUMP == 0 {
		m = m.with(unix.NLM_F_ACK)
	}
	if err := s.send(s.append(nil, m)); err != nil {
		return err
	}
	sequence := s.sequence
	var failed error
	for done := false; !done; {
		err := s.receive(func(h unix.NlMsghdr, body []byte) {
			switch {
			case h.Seq != sequence:
			case h.Type == unix.NLMSG_DONE, h.Type == unix.NLMSG_ERROR:
				done = true
				if len(body) >= 4 {
					failed = errorOf(body)
				}
			case len(body) >= sizeofNfgenmsg:
				each(body[sizeofNfgenmsg:])
			}
		})
		if err != nil {
			return err
		}
	}
	return failed
}

func (s *socket) send(b []byte) error {
	s.drain()
	return unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// drain throws away what is left of the answers to a request that failed.
func (s *socket) drain() {
	for {
		if _, _, err := unix.Recvfrom(s.fd, s.buf, unix.MSG_DONTWAIT); err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOBUFS) {
			return
		}
	}
}

// receive reads once, and calls each for every message of what came.
func (s *socket) receive(each func(h unix.NlMsghdr, body []byte)) error {
	n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
	for errors.Is(err, unix.EINTR) {
		n, _, err = unix.Recvfrom(s.fd, s.buf, 0)
	}
	if err != nil {
		return fmt.Errorf("netlink answer: %w", err)
	}
	return eachMessage(s.buf[:n], each)
}

// eachMessage calls each for every message of what came.
func eachMessage(b []byte, each func(h unix.NlMsghdr, body []byte)) error {
	ne := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		h := unix.NlMsghdr{Len: ne.Uint32(b), Type: ne.Uint16(b[4:]), Flags: ne.Uint16(b[6:]), Seq: ne.Uint32(b[8:])}
		if int(h.Len) < unix.SizeofNlMsghdr || int(h.Len) > len(b) {
			return errors.New("netlink: an answer that is cut short")
		}
		each(h, b[unix.SizeofNlMsghdr:h.Len])
		b = b[min(len(b), int(h.Len+3)&^3):]
	}
	return nil
}
