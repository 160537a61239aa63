package kinesis

import (
	"context"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// An iterator is a place in a shard: before the record with that counter. Its payload is stream id 8, shard 4,
// counter 8, the length of the stream's name 1, the name for messages, and zeros: an iterator has the length that the
// service's have, 152 bytes and 16 more for each 16 of the name with 2 added.
type iterator struct {
	stream  uint64
	shard   uint32
	counter uint64
	name    string
}

func (s *Service) sealIterator(it iterator) string {
	size := 152 + (len(it.name)+2)/16*16 - sealHead - macSize
	b := binary.BigEndian.AppendUint64(make([]byte, 0, size), it.stream)
	b = binary.BigEndian.AppendUint32(b, it.shard)
	b = binary.BigEndian.AppendUint64(b, it.counter)
	b = append(append(b, byte(len(it.name))), it.name...)
	return s.seal.wrap(kindIterator, b[:size])
}

func (s *Service) openIterator(text string) (iterator, error) {
	b, created, ok := s.seal.unwrap(kindIterator, text)
	if !ok || len(b) < 21 || len(b) < 21+int(b[20]) {
		return iterator{}, wire.Errorf(invalidArgument, "Invalid ShardIterator.")
	}
	if s.seal.expired(created) {
		return iterator{}, wire.Errorf("ExpiredIteratorException", "Iterator expired. The iterator was created at time %s while right now it is %s which is further in the future than the tolerated delay of %d milliseconds.",
			created.UTC().Format(time.UnixDate), s.now().UTC().Format(time.UnixDate), lifetime.Milliseconds())
	}
	return iterator{
		stream:  binary.BigEndian.Uint64(b),
		shard:   binary.BigEndian.Uint32(b[8:]),
		counter: binary.BigEndian.Uint64(b[12:]),
		name:    string(b[21 : 21+int(b[20])]),
	}, nil
}

type getShardIteratorInput struct {
	streamRef
	ShardId                *string `required:"true" len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	ShardIteratorType      *string `required:"true" enum:"AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON"`
	StartingSequenceNumber *string `pattern:"0|([1-9]\\d{0,128})"`
	Timestamp              *time.Time
	DryRun                 *bool
}

func (s *Service) getShardIterator(_ context.Context, in *getShardIteratorInput) (any, error) {
	name, err := s.name(&in.streamRef)
	if err != nil {
		return nil, err
	}
	index, ok := shardIndex(*in.ShardId)
	if !ok {
		return nil, s.couldNotFindShard(name, *in.ShardId)
	}
	now := s.now()
	st, err := s.live(s.streams(), name, now)
	if err != nil {
		return nil, s.noSuchShard(name, shardID(index))
	}
	sh, ok := st.shard(index)
	if !ok || st.state(now) == creating || sh.gone(st.horizon(now)) {
		return nil, s.noSuchShard(name, shardID(index))
	}
	counter, err := s.resolve(st, sh, in, now)
	if err == nil {
		err = dryRun(in.DryRun)
	}
	if err == nil && !sh.tail.iterators.take(now, 1, 0, s.o.Limits.iterators()) {
		err = wire.Errorf(throughput, "%s", s.throttled(st.Name, sh.id()))
	}
	if err != nil {
		return nil, err
	}
	text := s.sealIterator(iterator{st.ID, sh.Index, counter, st.Name})
	return &kinesis.GetShardIteratorOutput{ShardIterator: &text}, nil
}

// resolve turns what is asked for into a counter.
func (s *Service) resolve(st *stream, sh *shard, in *getShardIteratorInput, now time.Time) (uint64, error) {
	kind, number := *in.ShardIteratorType, in.StartingSequenceNumber
	if byNumber := kind == "AT_SEQUENCE_NUMBER" || kind == "AFTER_SEQUENCE_NUMBER"; byNumber != (number != nil) && kind != "AT_TIMESTAMP" {
		also := "also a"
		if number == nil {
			also = "no"
		}
		return 0, wire.Errorf(invalidArgument, "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and %s StartingSequenceNumber.", kind, also)
	}
	tip := sh.tail.visible.Load().next
	switch kind {
	case "TRIM_HORIZON":
		return 0, nil
	case "LATEST":
		return tip, nil
	case "AT_TIMESTAMP":
		return s.resolveTime(st, sh, in.Timestamp, now)
	}
	q, err := s.checkNumber(st, sh, *number)
	switch {
	case err != nil:
		return 0, err
	case q.counter == lastCounter:
		return tip, nil
	case q.counter >= tip:
		return 0, s.invalidNumber(st, sh, *number, "")
	case kind == "AFTER_SEQUENCE_NUMBER":
		return q.counter + 1, nil
	default:
		return q.counter, nil
	}
}

func (s *Service) resolveTime(st *stream, sh *shard, at *time.Time, now time.Time) (uint64, error) {
	if at == nil {
		return 0, wire.Errorf(invalidArgument, "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
	}
	if at.UnixMilli() > now.UnixMilli() {
		return 0, wire.Errorf(invalidArgument, "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: %d, currentTimestampInMillis: %d", at.UnixMilli(), now.UnixMilli())
	}
	return s.firstSince(st, sh, at.UnixMilli())
}

// checkNumber takes a sequence number apart and makes sure that it belongs to the shard.
func (s *Service) checkNumber(st *stream, sh *shard, text string) (sequence, error) {
	n, ok := parseNumeral(text)
	switch {
	case !ok:
		return sequence{}, s.invalidNumber(st, sh, text, "")
	case n.shard != int64(sh.Index):
		return sequence{}, wire.Errorf(invalidArgument, "Invalid StartingSequenceNumber. It encodes %s, while it was used in a call to a shard with %s", n.shardID(), sh.id())
	case n.version == 0: // the service fails at it, and so do we
		return sequence{}, &wire.Error{Type: internalFailure, Status: http.StatusInternalServerError}
	case n.version != 2 || n.creation != sh.Creation:
		return sequence{}, s.invalidNumber(st, sh, text, " because it did not come from this stream")
	}
	q, ok := parseSequence(text)
	if !ok {
		return q, s.invalidNumber(st, sh, text, "")
	}
	return q, nil
}

func (s *Service) invalidNumber(st *stream, sh *shard, text, why string) error {
	return wire.Errorf(invalidArgument, "StartingSequenceNumber %s used in GetShardIterator on shard %s in stream %s under account %s is invalid%s.", text, sh.id(), st.Name, s.o.Account, why)
}
