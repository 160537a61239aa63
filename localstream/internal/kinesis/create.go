package kinesis

import (
	"cmp"
	"context"
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
	"github.com/shoal-stream/shoal/record"
)

// Defaults and bounds of streams.
const (
	defaultRetention = 24   // hours
	maxRetention     = 8760 // hours
	defaultRecordKiB = 1024
	onDemandShards   = 4
	provisioned      = "PROVISIONED"
	onDemand         = "ON_DEMAND"
)

type streamModeDetails struct {
	StreamMode *string `required:"true" enum:"PROVISIONED, ON_DEMAND"`
}

type createStreamInput struct {
	StreamName         *string `required:"true" len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	ShardCount         *int32  `range:"1.."`
	StreamModeDetails  *streamModeDetails
	Tags               map[string]string `len:"1..200" keys:"1..128" values:"0..256"`
	MaxRecordSizeInKiB *int32            `range:"1024..10240"`

	WarmThroughputMiBps        *int32  `range:"0.."`
	RecordDistributionStrategy *string `enum:"AUTO, USER_PARTITION_KEY"`
}

func (s *Service) createStream(ctx context.Context, in *createStreamInput) (any, error) {
	st := &stream{Name: *in.StreamName, Status: creating, Mode: provisioned, Retention: defaultRetention, MaxRecord: defaultRecordKiB, Tags: in.Tags}
	if in.StreamModeDetails != nil {
		st.Mode = *in.StreamModeDetails.StreamMode
	}
	if in.MaxRecordSizeInKiB != nil {
		st.MaxRecord = int(*in.MaxRecordSizeInKiB)
	}
	count := uint32(onDemandShards)
	switch {
	case st.Mode == onDemand && in.ShardCount != nil:
		return nil, wire.Errorf(invalidArgument, "ShardCount must not be specified when StreamMode is ON_DEMAND.")
	case st.Mode == provisioned && in.ShardCount == nil:
		return nil, wire.Errorf(invalidArgument, "ShardCount must be specified when StreamMode is PROVISIONED.")
	case in.ShardCount != nil:
		count = uint32(*in.ShardCount)
	}
	if in.RecordDistributionStrategy != nil {
		st.Distribution = *in.RecordDistributionStrategy
	}
	if in.WarmThroughputMiBps != nil {
		st.Warm = *in.WarmThroughputMiBps
		count = warmShards(st.Warm)
	}
	err := cmp.Or(checkTags(in.Tags), s.permitTags(st.Name, in.Tags, len(in.Tags)), s.mayDistribute(st))
	if err != nil {
		return nil, err
	}
	return nil, s.store.Update(ctx, func(tx *storage.Tx) error { return s.create(tx, st, count) })
}

// create runs on the store's writer.
func (s *Service) create(tx *storage.Tx, st *stream, count uint32) error {
	now := s.now()
	old, ok := s.latest[st.Name]
	if ok && old.state(now) != "" {
		return wire.Errorf(resourceInUse, "Stream %s under account %s already exists.", st.Name, s.o.Account)
	}
	if st.Warm != 0 {
		if err := s.mayWarm(st, st.Warm, now); err != nil {
			return err
		}
	}
	if err := s.roomFor(now, int(count)); err != nil {
		return err
	}
	if err := s.roomToCreate(now); err != nil {
		return err
	}
	if st.Mode == onDemand {
		if err := s.roomForOnDemand(now); err != nil {
			return err
		}
	}
	if err := tx.Space(); err != nil {
		return err
	}
	id, err := nextID(tx)
	if err != nil {
		return err
	}
	if ok {
		s.erase(tx, old)
	}
	st.ID, st.Created, st.Until = id, now.UnixMilli(), now.Add(s.o.Transition).UnixMilli()
	tx.Set([]byte(keyNext), binary.BigEndian.AppendUint64(nil, id+1))
	for _, r := range divide(count) {
		st.add(now, r)
	}
	s.put(tx, st.Name, st)
	return nil
}

// nextID is the id for a new stream. Ids are never used again, so what is left of an old stream harms no new one.
func nextID(tx *storage.Tx) (uint64, error) {
	value, ok, err := tx.Get([]byte(keyNext))
	if err != nil || !ok {
		return 1, err
	}
	return binary.BigEndian.Uint64(value), nil
}

// divide cuts the hash key space into n ranges of floor(2^128/n), the last of which takes the rest.
func divide(n uint32) []record.HashKeyRange {
	if n == 1 {
		return []record.HashKeyRange{record.FullRange}
	}
	// 2^128 by n: the quotient is below 2^128 as n > 1.
	_, rest := bits.Div64(0, 1, uint64(n))
	high, rest := bits.Div64(rest, 0, uint64(n))
	low, _ := bits.Div64(rest, 0, uint64(n))
	ranges := make([]record.HashKeyRange, n)
	var start record.HashKey
	for i := range ranges {
		lo, carry := bits.Add64(start.Lo, low, 0)
		hi, _ := bits.Add64(start.Hi, high, carry)
		next := record.HashKey{Hi: hi, Lo: lo}
		ranges[i] = record.HashKeyRange{Start: start, End: next.Prev()}
		start = next
	}
	ranges[n-1].End = record.MaxHashKey
	return ranges
}

type deleteStreamInput struct {
	streamRef
	EnforceConsumerDeletion *bool
}

func (s *Service) deleteStream(ctx context.Context, in *deleteStreamInput) (any, error) {
	name, err := s.name(&in.streamRef)
	if err != nil {
		return nil, err
	}
	return nil, s.change(ctx, name, func(tx *storage.Tx, st *stream, now time.Time) (*stream, error) {
		if err := s.releaseConsumers(st, in.EnforceConsumerDeletion, now); err != nil {
			return nil, err
		}
		if s.o.Transition == 0 {
			s.erase(tx, st)
			return nil, nil
		}
		if st.state(now) == deleting {
			return st, nil
		}
		unborn := st.state(now) == creating
		st = st.clone()
		st.Unborn, st.Pending = unborn, nil
		st.Status, st.Until = deleting, now.Add(s.o.Transition).UnixMilli()
		return st, nil
	})
}

// erase deletes what a stream has stored besides its description.
func (s *Service) erase(tx *storage.Tx, st *stream) {
	tx.Drop(streamBounds(prefixChunk, st.ID))
	tx.DeleteRange(streamBounds(prefixFloor, st.ID))
}
