package kinesis

import (
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// A numeral is what clients may write for a sequence number, as far as the service looks into it: besides the layout of
// sequence, version 2, there are two older ones, of which it refuses some and takes others. In hexadecimal digits:
//
//	version 1: "2", creation 9, 1, 2, second 9, 14, 2, shard 8, "1"
//	version 0: "1", creation 9, 2, 16, shard 4; numbers below 2^124 count as that much more
type numeral struct {
	version          int
	creation, second int64 // epoch seconds; second is 0 in version 0
	shard            int64 // negative where its sign bit is set
}

// maxCreation bounds creation times, in seconds: later ones are in no valid number.
const maxCreation = 16_025_175_000

// parseNumeral reads digits that match the pattern of sequence numbers; ok is false if no layout is that of the number.
func parseNumeral(text string) (n numeral, ok bool) {
	v, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return n, false
	}
	if v.BitLen() <= 124 {
		v.Add(v, new(big.Int).Lsh(big.NewInt(1), 124))
	}
	hex := v.Text(16)
	field := func(from, to int) int64 {
		f, _ := strconv.ParseInt(hex[from:to], 16, 64) // digits, 9 at most
		return f
	}
	switch {
	case len(hex) == 32 && hex[0] == '1':
		n = numeral{version: 0, creation: field(1, 10), shard: field(28, 32)}
	case len(hex) == 47 && hex[0] == '2' && hex[46] == '1':
		n = numeral{version: 1, creation: field(1, 10), second: field(13, 22), shard: field(38, 46)}
	case len(hex) == 47 && hex[0] == '2' && hex[46] == '2' && hex[11] <= '7':
		n = numeral{version: 2, creation: field(1, 10), second: field(29, 38), shard: field(38, 46)}
		if n.shard > 0x7fffffff {
			n.shard = -n.shard
		}
	default:
		return n, false
	}
	return n, n.creation < maxCreation || n.version == 1
}

// shardID is the id of the shard that the number says it is of, as the service spells it.
func (n numeral) shardID() string {
	if n.shard < 0 {
		return fmt.Sprintf("shardId--%011d", -n.shard)
	}
	return fmt.Sprintf("shardId-%012d", n.shard)
}

// checkOrdering refuses a number that the next one could not exceed.
func (s *Service) checkOrdering(st *stream, text *string, now time.Time) error {
	switch {
	case text == nil:
		return nil
	case st.Distribution == auto:
		return wire.Errorf(invalidArgument, "SequenceNumberForOrdering is not supported for stream %s under account %s because its RecordDistributionStrategy is AUTO.", st.Name, s.o.Account)
	}
	n, ok := parseNumeral(*text)
	ok = ok && n.second <= now.Unix()+createdAfter
	if q, own := parseSequence(*text); ok && own {
		sh, there := st.shard(q.shard)
		ok = !there || sh.Creation != q.creation || q.counter < sh.tail.visible.Load().next
	}
	if !ok {
		return wire.Errorf(invalidArgument, "ExclusiveMinimumSequenceNumber %s used in PutRecord on stream %s under account %s is invalid.", *text, st.Name, s.o.Account)
	}
	return nil
}
