package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// scram proves that both sides know the password and tells neither: the client's
// side of SCRAM-SHA-256, RFC 7677 and RFC 5802. Passwords are taken as they are,
// which is right for those in ASCII.
type scram struct {
	password string
	nonce    string
	server   []byte // the signature that the server has to give
}

func newSCRAM(password string) *scram { return &scram{password: password, nonce: rand.Text()} }

// first is the client's first message. The user is in the connection's own.
func (s *scram) first() string { return "n,," + s.bare() }

func (s *scram) bare() string { return "n=,r=" + s.nonce }

// mostIterations bounds the work that a server may give us; PostgreSQL asks for
// 4096.
const mostIterations = 1 << 20

// final answers the server's first message.
func (s *scram) final(challenge string) (string, error) {
	fields := attributes(challenge)
	salt, err := base64.StdEncoding.DecodeString(fields["s"])
	if err != nil {
		return "", fmt.Errorf("scram: the salt: %w", err)
	}
	iterations, err := strconv.Atoi(fields["i"])
	if err != nil || iterations < 1 || iterations > mostIterations {
		return "", fmt.Errorf("scram: %q iterations", fields["i"])
	}
	if nonce := fields["r"]; !strings.HasPrefix(nonce, s.nonce) || nonce == s.nonce {
		return "", errors.New("scram: the server does not answer to us")
	}
	salted, err := pbkdf2.Key(sha256.New, s.password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("scram: %w", err)
	}
	final := "c=biws,r=" + fields["r"] // biws is "n,," in base64
	signed := s.bare() + "," + challenge + "," + final
	key := sign(salted, "Client Key")
	stored := sha256.Sum256(key)
	proof := sign(stored[:], signed)
	for i := range proof {
		proof[i] ^= key[i]
	}
	s.server = sign(sign(salted, "Server Key"), signed)
	return final + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

// verify checks that the server knows the password too.
func (s *scram) verify(last string) error {
	signature, err := base64.StdEncoding.DecodeString(attributes(last)["v"])
	if err != nil || s.server == nil || !hmac.Equal(signature, s.server) {
		return errors.New("scram: the server does not know the password")
	}
	return nil
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// attributes are the fields of a message, "a=b,c=d".
func attributes(message string) map[string]string {
	fields := map[string]string{}
	for field := range strings.SplitSeq(message, ",") {
		if name, value, ok := strings.Cut(field, "="); ok {
			fields[name] = value
		}
	}
	return fields
}
