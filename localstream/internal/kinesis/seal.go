package kinesis

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
)

// A sealer makes opaque strings that only it can have made: base64 of
//
//	kind 8       iterator or list token; an iterator's is 1, as the service's begin
//	created 8    milliseconds since the epoch
//	nonce 8      random, so that no two are the same
//	payload
//	mac 16       the first half of HMAC-SHA256 over all before it
//
// The key is kept in the store, so they outlive a restart, as the service's do.
type sealer struct {
	key   []byte
	clock clock.Clock
}

const (
	kindIterator = 1
	kindToken    = 2

	kindConsumerToken = 3

	sealHead = 24
	macSize  = 16

	// lifetime is how long iterators and list tokens are good for.
	lifetime = 5 * time.Minute
	// skew is how far in the future one may have been made: the clock may have been set back a little.
	skew = 10 * time.Second
)

func (s *sealer) mac(b []byte) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write(b)
	return m.Sum(nil)[:macSize]
}

func (s *sealer) wrap(kind byte, payload []byte) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, sealHead+len(payload)+macSize), uint64(kind))
	b = binary.BigEndian.AppendUint64(b, uint64(s.clock.Now().UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, s.clock.Uint64())
	b = append(b, payload...)
	return base64.StdEncoding.EncodeToString(append(b, s.mac(b)...))
}

// unwrap opens a string made by wrap; ok is false unless it is genuine and not from the future. Whether it has
// expired is for the caller to say, by created. A text in double quotes is taken too, as the service does.
func (s *sealer) unwrap(kind byte, text string) (payload []byte, created time.Time, ok bool) {
	if len(text) >= 2 && strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) {
		text = text[1 : len(text)-1]
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < sealHead+macSize {
		return nil, created, false
	}
	body, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(mac, s.mac(body)) || binary.BigEndian.Uint64(body) != uint64(kind) {
		return nil, created, false
	}
	created = time.UnixMilli(int64(binary.BigEndian.Uint64(body[8:])))
	return body[sealHead:], created, !created.After(s.clock.Now().Add(skew))
}

func (s *sealer) expired(created time.Time) bool { return s.clock.Now().Sub(created) > lifetime }
