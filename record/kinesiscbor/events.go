package kinesiscbor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/eventstream"
)

// The layout of a frame, in bytes:
//
//	0   total length, headers' length, CRC-32 of these two    4 each
//	12  headers: name length 1, name, type 1, value
//	    payload
//	-4  CRC-32 of all before                                  4
const (
	preludeSize = 12
	checkSize   = 4
	// maxFrame bounds a frame: an event has at most 2 MiB of records or one record of 10 MiB, with keys and numbers.
	maxFrame = 24 << 20
)

// HasInitialEventMessage says that a subscription begins with a message of its own.
func (p *protocol) HasInitialEventMessage() bool { return true }

// DeserializeInitialResponse takes that message. It has no members.
func (p *protocol) DeserializeInitialResponse(_ *smithy.Schema, r io.Reader, _ smithy.Deserializable) error {
	f, err := readFrame(r)
	if err != nil {
		return fmt.Errorf("read the first message: %w", noEOF(err))
	}
	if f.kind != "" && f.kind != eventstream.EventMessageType {
		_, err := p.DeserializeEventMessage(schemas.SubscribeToShardEventStream, kinesis.TypeRegistry, bytes.NewReader(f.whole))
		return fmt.Errorf("read the first message: %w", err)
	}
	if f.event != "initial-response" {
		return fmt.Errorf("the first message is %q; want initial-response", f.event)
	}
	return nil
}

// DeserializeEventMessage takes the next event, or the error that the stream ends with; io.EOF is its end in order.
// What is not in CBOR is left to the SDK, with a codec of its own for each message: one that is shared by
// subscriptions, as the client's is, is not safe.
func (p *protocol) DeserializeEventMessage(union *smithy.Schema, known *smithy.TypeRegistry, r io.Reader) (smithy.Deserializable, error) {
	f, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	if len(f.payload) > 0 && f.payload[0]&majorMask == majorMap {
		switch f.kind {
		case eventstream.EventMessageType:
			return f.decodeEvent(union, known)
		case eventstream.ExceptionMessageType:
			return nil, f.decodeException(known)
		}
	}
	return newJSON().DeserializeEventMessage(union, known, bytes.NewReader(f.whole))
}

// A frame is one message of a stream. Its parts alias whole, which is used for nothing else.
type frame struct {
	whole, payload         []byte
	kind, event, exception string // the headers of that name, "" if there is none
}

// readFrame reads one frame and checks it. At the end of the stream the error is io.EOF.
func readFrame(r io.Reader) (*frame, error) {
	var prelude [preludeSize]byte
	if _, err := io.ReadFull(r, prelude[:]); err != nil {
		return nil, err
	}
	total, headers := binary.BigEndian.Uint32(prelude[0:]), binary.BigEndian.Uint32(prelude[4:])
	switch {
	case crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]):
		return nil, fmt.Errorf("event: %w", eventstream.ChecksumError{})
	case total > maxFrame:
		return nil, fmt.Errorf("event of %d bytes; want at most %d", total, maxFrame)
	case total < preludeSize+checkSize || headers > total-preludeSize-checkSize:
		return nil, fmt.Errorf("event of %d bytes with %d of headers", total, headers)
	}
	whole := make([]byte, total)
	copy(whole, prelude[:])
	if _, err := io.ReadFull(r, whole[preludeSize:]); err != nil {
		return nil, noEOF(err)
	}
	body := whole[:total-checkSize]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(whole[len(body):]) {
		return nil, fmt.Errorf("event: %w", eventstream.ChecksumError{})
	}
	f := &frame{whole: whole, payload: body[preludeSize+headers : len(body) : len(body)]}
	return f, f.readHeaders(body[preludeSize : preludeSize+headers])
}

// noEOF is err, but not the orderly end of a stream.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errHeaders = errors.New("event with malformed headers")

// Types of header values that need to be known beyond their size, which is in valueSizes for the others.
const (
	valueBytes  = 6
	valueString = 7
)

// valueSizes are those of the types true, false, byte, short, integer, long, (bytes, string,) timestamp and uuid.
var valueSizes = [...]int{0, 0, 1, 2, 4, 8, -1, -1, 8, 16}

func (f *frame) readHeaders(b []byte) error {
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+1 {
			return errHeaders
		}
		name, kind := b[1:1+n], int(b[1+n])
		b = b[1+n+1:]
		if kind >= len(valueSizes) {
			return errHeaders
		}
		size := valueSizes[kind]
		if kind == valueBytes || kind == valueString {
			if len(b) < 2 {
				return errHeaders
			}
			size = int(binary.BigEndian.Uint16(b))
			b = b[2:]
		}
		if len(b) < size {
			return errHeaders
		}
		if kind == valueString {
			f.header(name, b[:size])
		}
		b = b[size:]
	}
	return nil
}

func (f *frame) header(name, value []byte) {
	switch string(name) {
	case eventstream.MessageTypeHeader:
		f.kind = string(value)
	case eventstream.EventTypeHeader:
		f.event = string(value)
	case eventstream.ExceptionTypeHeader:
		f.exception = string(value)
	}
}

// decodeEvent is the event as the SDK's type; one that the SDK does not know is left as it is.
func (f *frame) decodeEvent(union *smithy.Schema, known *smithy.TypeRegistry) (smithy.Deserializable, error) {
	if member := union.Member(f.event); member != nil {
		if entry, ok := known.LookupEntry(member.TargetID().String()); ok {
			if out, ok := entry.New().(smithy.Deserializable); ok {
				if err := decode(f.payload, out); err != nil {
					return nil, fmt.Errorf("decode event %s: %w", f.event, err)
				}
				return out, nil
			}
		}
	}
	return &eventstream.UnknownUnionMember{Tag: f.event, Value: f.whole}, nil
}

// decodeException is the error that the stream ends with.
func (f *frame) decodeException(known *smithy.TypeRegistry) error {
	var info errorInfo
	if err := info.read(f.payload); err != nil {
		return &smithy.DeserializationError{Err: fmt.Errorf("decode exception %s: %w", f.exception, err)}
	}
	return info.modelled(known, f.exception, f.payload)
}
