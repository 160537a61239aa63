package kinesis

import (
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// A putReply is the answer of PutRecords. Its JSON is what the SDK's type would give; for CBOR it becomes that type.
type putReply struct{ *write }

// AppendJSON appends the answer: an entry for each record, in their order.
func (r putReply) AppendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	if r.encrypted {
		b = append(b, `"EncryptionType":"KMS",`...)
	}
	failed := 0
	for i := range r.placed {
		if r.placed[i].chunk == nil {
			failed++
		}
	}
	b = append(b, `"FailedRecordCount":`...)
	b = strconv.AppendInt(b, int64(failed), 10)
	b = append(b, `,"Records":[`...)
	for i := range r.placed {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.appendEntry(b, &r.placed[i])
	}
	return append(b, "]}"...), nil
}

func (r putReply) appendEntry(b []byte, p *place) []byte {
	if p.chunk == nil {
		b = append(b, `{"ErrorCode":"`+throughput+`","ErrorMessage":`...)
		b = wire.AppendText(b, []byte(r.s.throttled(r.name, p.shard.id())))
		return append(b, '}')
	}
	if p.chunk.id == "" {
		p.chunk.id = p.chunk.shard.id()
	}
	b = append(b, `{"SequenceNumber":"`...)
	b = p.chunk.run.appendTo(b, p.chunk.shard, p.chunk.first+p.nth, p.chunk.arrival)
	b = append(b, `","ShardId":"`...)
	b = append(b, p.chunk.id...)
	return append(b, `"}`...)
}

// Serialize writes the SDK's output.
func (r putReply) Serialize(s smithy.ShapeSerializer) { r.results().Serialize(s) }

// ReplySize is what the usual entries need.
func (r putReply) ReplySize() int { return 128*len(r.placed) + 64 }

// results are the answers to PutRecords, in the order of the entries.
func (w *write) results() *kinesis.PutRecordsOutput {
	out := &kinesis.PutRecordsOutput{FailedRecordCount: new(int32), EncryptionType: w.encryption(), Records: make([]types.PutRecordsResultEntry, len(w.entries))}
	ids := map[*shard]*string{}
	numbers := make([]byte, 0, sequenceDigits*len(w.entries))
	for i, p := range w.placed {
		id := ids[p.shard]
		if id == nil {
			text := p.shard.id()
			id = &text
			ids[p.shard] = id
		}
		if p.chunk == nil {
			code, message := throughput, w.s.throttled(w.name, *id)
			*out.FailedRecordCount++
			out.Records[i] = types.PutRecordsResultEntry{ErrorCode: &code, ErrorMessage: &message}
			continue
		}
		numbers = p.number().appendTo(numbers)
		out.Records[i].ShardId = id
	}
	// One string for all numbers, cut up.
	all := string(numbers)
	texts := make([]string, 0, len(w.entries))
	for i := range out.Records {
		if out.Records[i].ShardId != nil {
			texts = append(texts, all[:sequenceDigits])
			all = all[sequenceDigits:]
			out.Records[i].SequenceNumber = &texts[len(texts)-1]
		}
	}
	return out
}
