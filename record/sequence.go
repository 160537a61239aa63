package record

import (
	"fmt"
	"strings"
)

// A SequenceNumber names a record within its shard: a decimal number of up to 129 digits, kept as the text in which
// the service gives it (Kinesis API reference, Record.SequenceNumber). Numbers of one shard rise with time; numbers of
// different shards must not be compared. The zero value "" is no sequence number.
type SequenceNumber string

// Compare is -1, 0 or +1 as s is numerically below, equal to or above t. It does not allocate. The empty sequence
// number is below all others.
func (s SequenceNumber) Compare(t SequenceNumber) int {
	a, b := strings.TrimLeft(string(s), "0"), strings.TrimLeft(string(t), "0")
	switch {
	case (s == "") != (t == ""):
		if s == "" {
			return -1
		}
		return +1
	case len(a) < len(b):
		return -1
	case len(a) > len(b):
		return +1
	default:
		return strings.Compare(a, b)
	}
}

// Validate returns an error unless s is a decimal number of 1 to 129 digits without leading zeros.
func (s SequenceNumber) Validate() error {
	ok := len(s) >= 1 && len(s) <= 129 && (s[0] != '0' || s == "0")
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= '0' && s[i] <= '9'
	}
	if !ok {
		return fmt.Errorf("sequence number %q: want a decimal number of 1 to 129 digits without leading zeros", string(s))
	}
	return nil
}
