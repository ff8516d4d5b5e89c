package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

// TestSCRAM_BothSidesHaveToKnowThePassword: the real exchange is in the shop's
// test on an engine.
func TestSCRAM_BothSidesHaveToKnowThePassword(t *testing.T) {
	login := newSCRAM("pencil")
	challenge := "r=" + login.nonce + "server,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	final, err := login.final(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(final, "c=biws,r="+login.nonce+"server,p=") || strings.Contains(final, "pencil") {
		t.Errorf("final message %q", final)
	}
	good := *login
	for name, last := range map[string]string{"a wrong signature": "v=AAAA", "none": "e=other-error", "no base64": "v=!"} {
		if err := login.verify(last); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	other := newSCRAM("crayon")
	other.nonce = login.nonce
	if theirs, _ := other.final(challenge); theirs == final {
		t.Error("another password gives the same proof")
	}
	if good.verify("v=") == nil {
		t.Error("an empty signature is accepted")
	}
}

func TestSCRAM_RefusesBadChallenges(t *testing.T) {
	login := newSCRAM("pencil")
	for name, challenge := range map[string]string{
		"not to us":       "r=else,s=W22Z,i=4096",
		"no nonce of its": "r=" + login.nonce + ",s=W22Z,i=4096",
		"no salt":         "r=" + login.nonce + "x,s=!,i=4096",
		"no iterations":   "r=" + login.nonce + "x,s=W22Z",
		"endless work":    "r=" + login.nonce + "x,s=W22Z,i=999999999",
	} {
		if _, err := login.final(challenge); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestQuery talks to a server that plays back what PostgreSQL sends.
func TestQuery(t *testing.T) {
	row := func(values ...string) packet {
		p := message('D').int16(len(values))
		for _, v := range values {
			if v == "null" {
				p = p.int32(-1)
				continue
			}
			p = p.int32(len(v)).raw(v)
		}
		return p
	}
	ready := message('Z').raw("I")
	ok := message('R').int32(authOK)
	c, err := Dial(t.Context(), Config{Addr: playback(t,
		[]packet{ok, message('S').text("server_version").text("15"), ready},
		[]packet{message('1'), message('2'), row("1", "tea"), row("2", "null"), message('C').text("SELECT 2"), ready},
		[]packet{message('E').text("SERROR").text("C42P01").text("Mno such table").raw("\x00"), ready},
		[]packet{message('1'), message('2'), message('C').text("INSERT 0 1"), ready},
	)})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.Query("SELECT id, item FROM orders WHERE id < $1", "3")
	if err != nil || len(rows) != 2 || rows[0][1] != "tea" || rows[1][1] != "" {
		t.Errorf("rows %q, %v", rows, err)
	}
	var refused *ServerError
	if _, err := c.Query("SELECT 1 FROM nowhere"); !errors.As(err, &refused) || refused.Code != "42P01" || refused.Message != "no such table" {
		t.Errorf("got %v, want the server's error", err)
	}
	if rows, err := c.Query("INSERT"); err != nil || len(rows) != 0 {
		t.Errorf("after an error: %q, %v", rows, err)
	}
}

func TestDial_Refusals(t *testing.T) {
	for name, tc := range map[string]struct {
		reply packet
		want  string
	}{
		"the server's":        {message('E').text("C28P01").text("Mpassword authentication failed").raw("\x00"), "password authentication failed"},
		"an unknown login":    {message('R').int32(3), "login of kind 3"},
		"an answer too early": {message('R').int32(authSASLFinal).raw("v=AAAA"), "nobody has said"},
		"a short message":     {message('R').int16(0), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Dial(t.Context(), Config{Addr: playback(t, []packet{tc.reply})})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestReadRow_Short(t *testing.T) {
	for _, body := range []string{"", "\x00", "\x00\x01", "\x00\x01\x00\x00\x00\x05abc"} {
		if row, err := readRow([]byte(body)); err == nil {
			t.Errorf("%q is read as %q", body, row)
		}
	}
}

// playback serves one connection: each time something comes in, the next packets
// go out.
func playback(t *testing.T, replies ...[]packet) (addr string) {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 1<<12)
		for _, packets := range replies {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			for _, p := range packets {
				if _, err := conn.Write(p.framed()); err != nil {
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}
