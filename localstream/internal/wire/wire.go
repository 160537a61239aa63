// Package wire speaks AWS's request protocols: it turns HTTP requests into typed inputs, calls the operation, and
// turns its output or error into the reply. It knows one table of operations and no operation itself.
//
//	h := wire.NewHandler(wire.Options{}, wire.Service{
//		Target: "Kinesis_20131202", JSON: "1.1", InternalError: "InternalFailure",
//		Operations: []wire.Operation{{
//			Name:   "DescribeStream",
//			New:    func() any { return new(describeStreamInput) },
//			Handle: func(ctx context.Context, in any) (any, error) { … },
//		}},
//	})
//
// # Inputs
//
// New returns a pointer to a struct whose exported fields are the operation's members, by name: *string, string types,
// *int32, *int64, *float64, *bool, bool, []byte (a blob), Text, *time.Time, structs, pointers to structs, slices and
// maps with string keys of these. A field whose type implements json.Unmarshaler gets its raw JSON instead. Members
// that are absent or null leave the field as New made it; unknown members are ignored; the fields of embedded structs
// count as the input's own. Field tags state the model's
// constraints, which are checked before Handle:
//
//	required:"true"               must be there
//	len:"1..128"                  length of a string (characters), blob (bytes), list or map
//	range:"1..10000"              value of an integer; either end may be missing
//	pattern:"[a-z]+"              the whole string matches
//	enum:"PROVISIONED, ON_DEMAND" one of these; of a list: each of its elements is
//	items:"1..128"                length of each string in a list
//	keys:"1..128" values:"0..256" length of each key and string in a map
//
// # Outputs
//
// An output is nil (an empty body), a smithy.Serializable (all of the SDK's types are), an Appender, a Pieced, a
// *Stream, or anything that encoding/json takes. An error that is not an *Error is answered as the service's internal failure and logged.
package wire

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// MaxBody is the largest request body, in bytes: 10 MiB of records in base64 with their keys fit.
const MaxBody = 16 << 20

// A Service is one AWS service behind its target prefix.
type Service struct {
	// Target is the prefix of X-Amz-Target, such as "DynamoDB_20120810".
	Target string
	// JSON is the version of AWS JSON that the service speaks: "1.0" or "1.1".
	JSON string
	// CBOR says that the service speaks CBOR 1.1 as well. Its inputs and outputs are then plain: no json.Unmarshaler,
	// no Appender, and every output smithy.Serializable or Pieced.
	CBOR bool
	// InternalError is the error type for failures that are not the caller's, such as "InternalFailure".
	InternalError string
	// Qualify gives an error type the form that the service's replies have. Nil leaves types as they are.
	Qualify    func(kind string) string
	Operations []Operation
}

// An Operation is one row of the table, whatever the encoding. See the package comment for what inputs and outputs
// may be.
type Operation struct {
	Name string
	// New makes an empty input: a pointer to a struct.
	New func() any
	// Handle runs the operation on a decoded and validated input. The input may alias the request body, which stays
	// the input's own.
	Handle func(ctx context.Context, in any) (out any, err error)
	// BodyFree says that after a success nothing, the output included, uses the input or the body any more: the next
	// request may have its memory.
	BodyFree bool
}

// Op is an Operation whose input is an I, with nothing in it before decoding.
func Op[I any](name string, handle func(ctx context.Context, in *I) (any, error)) Operation {
	return Operation{
		Name:   name,
		New:    func() any { return new(I) },
		Handle: func(ctx context.Context, in any) (any, error) { return handle(ctx, in.(*I)) },
	}
}

// An Appender is an output that writes its own JSON.
type Appender interface {
	// AppendJSON appends the output to b.
	AppendJSON(b []byte) ([]byte, error)
}

// A Large output says what its reply needs.
type Large interface {
	// ReplySize is about how many bytes the reply has.
	ReplySize() int
}

// Text is a string member that aliases the request body: cheap for members that occur hundreds of times a request.
// Nil means absent.
type Text []byte

// Direct is a structure in an input that occurs hundreds of times a request, such as a record: it says where its
// members are, which saves decoding and validating most of what they cost.
type Direct interface {
	// Member is where the blob or the text of that name goes; nil and nil for other members.
	Member(name string) (data *[]byte, text *Text)
	// Valid reports that all constraints hold; false means that they have to be looked at one by one.
	Valid() bool
}

// An Error is a modelled AWS error: the answer to a request that cannot be done.
type Error struct {
	// Type is AWS's name for it, such as "ResourceNotFoundException".
	Type string
	// Message is the text that clients show.
	Message string
	// Status is the HTTP status, 0 for 400.
	Status int
	// Members are further members of the error's body, such as Item; their values are encoded like outputs.
	Members map[string]any
}

// Error is the type and the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// Errorf makes an Error with status 400.
func Errorf(kind, format string, args ...any) *Error {
	return &Error{Type: kind, Message: fmt.Sprintf(format, args...)}
}

// A Call is one request as fault rules see it: authenticated, its operation known, not yet decoded.
type Call struct {
	// Service is the target prefix, such as "Kinesis_20131202", Operation the name behind it.
	Service, Operation string
	// Header and Body are the request's; a rule must not change or keep them.
	Header http.Header
	Body   []byte
}

// A Fault is what a rule does to one call. The zero Fault does nothing.
type Fault struct {
	// Delay passes before anything else happens.
	Delay time.Duration
	// Reject is answered in place of running the operation.
	Reject *Error
	// CutBefore breaks the connection without running the operation: the request was lost.
	CutBefore bool
	// CutAfter runs the operation and breaks the connection in place of the answer: the answer was lost.
	CutAfter bool
}
