package kinesis

import (
	"strconv"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// streamRef is how operations name a stream: by name, by ARN, or by both if they agree. StreamId is reserved by the
// service, and accepted and ignored.
type streamRef struct {
	StreamName *string `len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	StreamARN  *string `len:"1..2048" pattern:"arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"`
	StreamId   *string `len:"1..24" pattern:"[a-z0-9]{20}-[a-z0-9]{3}"`
}

// The types of the errors that operations answer.
const (
	invalidArgument  = "InvalidArgumentException"
	resourceInUse    = "ResourceInUseException"
	resourceNotFound = "ResourceNotFoundException"
	limitExceeded    = "LimitExceededException"
	throughput       = "ProvisionedThroughputExceededException"
	validation       = "ValidationException"
	internalFailure  = "InternalFailure"
)

func (s *Service) streamNotFound(name string) error {
	return wire.Errorf(resourceNotFound, "Stream %s under account %s not found.", name, s.o.Account)
}

func (s *Service) noSuchShard(name, id string) error {
	return wire.Errorf(resourceNotFound, "Shard %s in stream %s under account %s does not exist", id, name, s.o.Account)
}

func (s *Service) couldNotFindShard(name, id string) error {
	return wire.Errorf(resourceNotFound, "Could not find shard %s in stream %s under account %s.", id, name, s.o.Account)
}

func (s *Service) arn(name string) string {
	return "arn:aws:kinesis:" + s.o.Region + ":" + s.o.Account + ":stream/" + name
}

// name resolves a reference to a stream's name.
func (s *Service) name(r *streamRef) (string, error) {
	if r.StreamARN == nil {
		if r.StreamName == nil {
			return "", wire.Errorf(invalidArgument, "Either StreamName or StreamARN should be provided.")
		}
		return *r.StreamName, nil
	}
	_, name, _ := strings.Cut(*r.StreamARN, ":stream/")
	if r.StreamName != nil && *r.StreamName != name {
		return "", wire.Errorf(invalidArgument, "StreamName %s does not match the stream of StreamARN %s.", *r.StreamName, *r.StreamARN)
	}
	if parts := strings.SplitN(*r.StreamARN, ":", 6); parts[3] != s.o.Region || parts[4] != s.o.Account {
		return "", s.streamNotFound(name)
	}
	return name, nil
}

// find resolves a reference to a stream as it is on disk.
func (s *Service) find(r *streamRef) (*stream, error) {
	name, err := s.name(r)
	if err != nil {
		return nil, err
	}
	return s.live(s.streams(), name, s.now())
}

// settled refuses a stream that is not ACTIVE.
func (s *Service) settled(st *stream, now time.Time) error {
	if state := st.state(now); state != active {
		return wire.Errorf(resourceInUse, "Stream %s under account %s not ACTIVE, instead in state %s", st.Name, s.o.Account, state)
	}
	return nil
}

// shardIndex reads a shard id, padded or not. Like the service it takes any prefix for "shardId", and none.
func shardIndex(id string) (uint32, bool) {
	digits := id
	if _, after, ok := strings.Cut(id, "-"); ok {
		digits = after
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	return uint32(n), err == nil
}
