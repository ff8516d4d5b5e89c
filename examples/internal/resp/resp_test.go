package resp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want Value
	}{
		"simple string": {"+OK\r\n", Value{Text: "OK"}},
		"integer":       {":-12\r\n", Value{Int: -12}},
		"bulk":          {"$5\r\na\r\nbc\r\n", Value{Text: "a\r\nbc"}},
		"empty bulk":    {"$0\r\n\r\n", Value{}},
		"null bulk":     {"$-1\r\n", Value{Null: true}},
		"null array":    {"*-1\r\n", Value{Null: true}},
		"array":         {"*2\r\n$1\r\na\r\n*1\r\n:3\r\n", Value{Array: []Value{{Text: "a"}, {Array: []Value{{Int: 3}}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(bufio.NewReader(strings.NewReader(tc.in)))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestRead_RefusesWhatIsNoReply(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":         "",
		"unknown type":    "!x\r\n",
		"bare newline":    "+OK\n",
		"empty line":      "\r\n",
		"bad integer":     ":x\r\n",
		"negative length": "$-2\r\n",
		"huge string":     "$999999999\r\n",
		"huge array":      "*999999999\r\n",
		"cut string":      "$5\r\nab",
		"unended string":  "$2\r\nabcd",
		"cut array":       "*2\r\n:1\r\n",
		"too deep":        strings.Repeat("*1\r\n", maxDepth+1) + ":1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if v, err := Read(bufio.NewReader(strings.NewReader(in))); err == nil {
				t.Errorf("got %+v, want an error", v)
			}
		})
	}
}

func TestRead_ErrorReplyIsAServerError(t *testing.T) {
	_, err := Read(bufio.NewReader(strings.NewReader("-NOAUTH Authentication required.\r\n")))
	var server ServerError
	if !errors.As(err, &server) || server != "NOAUTH Authentication required." {
		t.Errorf("got %#v, want the server's words as a ServerError", err)
	}
}

// TestDial_AuthenticatesBeforeTheFirstCommand talks to a server that records
// what it is sent and answers from a script.
func TestDial_AuthenticatesBeforeTheFirstCommand(t *testing.T) {
	addr, sent := serve(t, "+OK\r\n", "+PONG\r\n")
	c, err := Dial(t.Context(), addr, "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	v, err := c.Do("PING")
	if err != nil || v.Text != "PONG" {
		t.Fatalf("PING gave %+v, %v", v, err)
	}
	for _, want := range [][]string{{"AUTH", "s3cret"}, {"PING"}} {
		if got := <-sent; !reflect.DeepEqual(got, want) {
			t.Errorf("server got %q, want %q", got, want)
		}
	}
}

func TestDial_WrongPasswordNamesTheServer(t *testing.T) {
	addr, _ := serve(t, "-WRONGPASS invalid\r\n")
	_, err := Dial(t.Context(), addr, "bad")
	if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("got %v, want the address and the server's words", err)
	}
}

func TestDial_CancelledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, "127.0.0.1:1", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n:3\r\n"))
	f.Add([]byte("-ERR x\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := Read(bufio.NewReader(bytes.NewReader(in)))
		if err != nil && !reflect.DeepEqual(v, Value{}) && !v.Null {
			t.Errorf("error %v came with a value %+v", err, v)
		}
	})
}

// serve answers one connection, one canned reply per command.
func serve(t *testing.T, replies ...string) (addr string, sent <-chan []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	commands := make(chan []string, len(replies))
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for _, reply := range replies {
			command, err := Read(r) // a command is an array of strings
			if err != nil {
				return
			}
			commands <- command.Texts()
			if _, err := conn.Write([]byte(reply)); err != nil {
				return
			}
		}
	}()
	return l.Addr().String(), commands
}
