package dnsbench

import "golang.org/x/net/dns/dnsmessage"

// Query asks for the IPv4 addresses of a name. It panics for what is none.
func Query(name string) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	msg, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return msg
}
