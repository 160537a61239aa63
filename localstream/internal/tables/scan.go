package tables

import (
	"context"
	"encoding/binary"
	"math/bits"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

type scanInput struct {
	TableName                 *string  `required:"true"`
	IndexName                 *string  `len:"3..255" pattern:"[a-zA-Z0-9_.-]+"`
	AttributesToGet           []string `len:"1..255"`
	Limit                     *int32   `range:"1.."`
	Select                    string   `enum:"SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES"`
	ScanFilter                map[string]condition
	ConditionalOperator       string `enum:"OR, AND"`
	ExclusiveStartKey         attr.Item
	ReturnConsumedCapacity    string `enum:"INDEXES, TOTAL, NONE"`
	TotalSegments             *int32 `range:"1..1000000"`
	Segment                   *int32 `range:"0..999999"`
	ProjectionExpression      *string
	FilterExpression          *string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues attr.Item
	ConsistentRead            bool
}

func (s *Service) scan(_ context.Context, in *scanInput) (any, error) {
	b, err := s.binder(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	err = checkStyles(b.params,
		[]parameter{{"ProjectionExpression", in.ProjectionExpression != nil}, {"FilterExpression", in.FilterExpression != nil}},
		[]parameter{{"AttributesToGet", in.AttributesToGet != nil}, {"ScanFilter", in.ScanFilter != nil}, {"ConditionalOperator", in.ConditionalOperator != ""}})
	if err != nil {
		return nil, err
	}
	if err := checkSegments(in.Segment, in.TotalSegments); err != nil {
		return nil, err
	}
	f, err := b.filter("scanFilter", in.ScanFilter, in.ConditionalOperator, in.FilterExpression)
	if err != nil {
		return nil, err
	}
	paths, err := b.projection(in.ProjectionExpression, in.AttributesToGet)
	if err != nil {
		return nil, err
	}
	if err := b.done(); err != nil {
		return nil, err
	}
	r, err := s.begin(pageInput{
		table: in.TableName, index: in.IndexName, selects: in.Select, limit: in.Limit, consistent: in.ConsistentRead,
		attributes: in.AttributesToGet, projection: in.ProjectionExpression, returnCapacity: in.ReturnConsumedCapacity,
	}, paths)
	if err != nil {
		return nil, err
	}
	if err := r.setFilter(f); err != nil {
		return nil, err
	}
	r.filterWhole = !r.index.Global && r.unprojected(f) != nil // a local index is completed from the table, also for this
	r.segment(in.Segment, in.TotalSegments)
	if in.ExclusiveStartKey != nil {
		if err := r.startAfter(in.ExclusiveStartKey); err != nil {
			return nil, err
		}
		if in.Segment != nil && !r.inBounds() {
			return nil, invalid("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "+
				"TotalSegments: %d Segment: %d", *in.TotalSegments, *in.Segment)
		}
	}
	return s.run(r)
}

func checkSegments(segment, total *int32) error {
	switch {
	case segment == nil && total == nil:
		return nil
	case total == nil:
		return invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case segment == nil:
		return invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case *segment >= *total:
		return invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d", *segment, *total)
	}
	return nil
}

// segment sets the bounds: all of the index, or the range of hashes that is the segment's.
func (r *reading) segment(segment, total *int32) {
	prefix := itemsPrefix(nil, r.table.Number, r.index.Number)
	r.lower, r.upper = prefix, after(prefix)
	if segment == nil {
		return
	}
	r.lower = binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], segmentStart(*segment, *total))
	if *segment+1 < *total {
		r.upper = binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], segmentStart(*segment+1, *total))
	}
}

// segmentStart is the first hash of a segment: 2^64 × segment / total.
func segmentStart(segment, total int32) uint64 {
	quotient, _ := bits.Div64(uint64(segment), 0, uint64(total))
	return quotient
}
