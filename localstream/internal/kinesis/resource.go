package kinesis

import (
	"context"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// resourceRef is how operations name a stream or a consumer.
type resourceRef struct {
	ResourceARN *string `required:"true" len:"1..2048" pattern:"arn:aws.*:kinesis:.*:\\d{12}:.*stream/\\S+"`
	StreamId    *string `len:"1..24" pattern:"[a-z0-9]{20}-[a-z0-9]{3}"`
}

// A resource is what has tags and a policy: a stream, or a consumer of one.
type resource struct {
	stream string
	// consumer is the end of a consumer's ARN, its name and creation time: "NAME:SECONDS". It is "" for the stream.
	consumer string
}

// resource takes an ARN apart.
func (s *Service) resource(arn string) (resource, error) {
	_, path, _ := strings.Cut(arn, "stream/")
	name, consumer, isConsumer := strings.Cut(path, "/consumer/")
	if parts := strings.SplitN(arn, ":", 6); parts[3] != s.o.Region || parts[4] != s.o.Account || isConsumer && consumer == "" {
		return resource{}, wire.Errorf(resourceNotFound, "Resource %s under account %s not found.", arn, s.o.Account)
	}
	return resource{name, consumer}, nil
}

// owned returns an error unless st has the resource.
func (s *Service) owned(st *stream, r resource) error {
	if r.consumer != "" && !st.hasConsumer(r.consumer) {
		return wire.Errorf(resourceNotFound, "Consumer %s, account %s not found.", strings.Split(r.consumer, ":")[0], s.o.Account)
	}
	return nil
}

// findResource finds the stream of a resource as it is on disk.
func (s *Service) findResource(arn string) (*stream, resource, error) {
	r, err := s.resource(arn)
	if err != nil {
		return nil, r, err
	}
	st, err := s.live(s.streams(), r.stream, s.now())
	if err == nil {
		err = s.owned(st, r)
	}
	return st, r, err
}

// annotate runs f on a copy of a resource's stream, which must be ACTIVE and stays so, and keeps the copy unless f
// returns an error. f runs on the store's writer; it must replace maps, not change them.
func (s *Service) annotate(ctx context.Context, r resource, f func(next *stream) error) error {
	return s.change(ctx, r.stream, func(tx *storage.Tx, st *stream, now time.Time) (*stream, error) {
		if err := s.owned(st, r); err != nil {
			return nil, err
		}
		if err := s.settled(st, now); err != nil {
			return nil, err
		}
		if err := tx.Space(); err != nil {
			return nil, err
		}
		next := st.clone()
		if err := f(next); err != nil {
			return nil, err
		}
		return next, nil
	})
}
