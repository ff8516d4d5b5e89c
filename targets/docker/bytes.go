package docker

import (
	"encoding/json"
	"unicode/utf8"
)

// Bytes is the content of a file. As JSON it is a string where it is text, so
// that people can read a State, and {"base64": ...} where it is not.
type Bytes string

type encodedBytes struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(b)) {
		return json.Marshal(string(b))
	}
	return json.Marshal(encodedBytes{[]byte(b)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var e encodedBytes
		err := json.Unmarshal(data, &e)
		*b = Bytes(e.Base64)
		return err
	}
	return json.Unmarshal(data, (*string)(b))
}
