package netif

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// answerTimeout bounds the wait for the kernel's answer, which comes at once.
const answerTimeout = 5 * time.Second

func addAddress(index int, ip netip.Addr) error {
	err := change(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, ip)
	if errors.Is(err, unix.EEXIST) {
		return nil // from before a restart of this process
	}
	return err
}

func deleteAddress(index int, ip netip.Addr) error {
	err := change(unix.RTM_DELADDR, 0, index, ip)
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil // gone already
	}
	return err
}

// change asks the kernel, over rtnetlink, for one change of one address and
// waits for its answer (rtnetlink(7)).
func change(kind, flags uint16, index int, ip netip.Addr) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return err
	}
	msg := message(kind, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK, index, ip)
	if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, unix.Getpagesize())
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return err
	}
	return answer(buf[:n])
}

// message is a struct nlmsghdr, a struct ifaddrmsg and two attributes: the
// address of our end and that of the other, which are one.
func message(kind, flags uint16, index int, ip netip.Addr) []byte {
	family := byte(unix.AF_INET)
	if ip.Is6() {
		family = unix.AF_INET6
	}
	ne := binary.NativeEndian
	b := ne.AppendUint32(nil, 0) // the length, filled in below
	b = ne.AppendUint16(b, kind)
	b = ne.AppendUint16(b, flags)
	b = ne.AppendUint32(b, 1) // sequence
	b = ne.AppendUint32(b, 0) // port: the kernel fills it in
	b = append(b, family, byte(ip.BitLen()), 0, unix.RT_SCOPE_UNIVERSE)
	b = ne.AppendUint32(b, uint32(index))
	for _, kind := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		b = ne.AppendUint16(b, uint16(unix.SizeofRtAttr+ip.BitLen()/8))
		b = ne.AppendUint16(b, kind)
		b = append(b, ip.AsSlice()...)
	}
	ne.PutUint32(b, uint32(len(b)))
	return b
}

// answer reads an NLMSG_ERROR message; its code 0 is the acknowledgement.
func answer(b []byte) error {
	if len(b) < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR {
		return errors.New("netlink: unexpected answer")
	}
	if code := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
