package oracle

import (
	"context"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
)

// normalize puts into order what has none: sets, and the items of a batch. The wording of cancellation reasons does
// not count.
func normalize(v any) {
	switch v := v.(type) {
	case object:
		for name, e := range v {
			if n, ok := e.(string); ok && name == "N" {
				v[name] = plain(n)
			}
			switch list, ok := e.([]any); {
			case ok && (name == "SS" || name == "NS" || name == "BS"):
				for i, n := range list {
					if name == "NS" {
						list[i] = plain(n.(string))
					}
				}
				order(list)
			case ok && name == "CancellationReasons":
				for _, r := range list {
					delete(r.(object), "Message")
				}
			}
			normalize(e)
		}
		if batch, ok := v["Responses"].(object); ok {
			for _, items := range batch {
				order(items.([]any))
			}
		}
	case []any:
		for _, e := range v {
			normalize(e)
		}
	}
}

// plain is the number without anything that does not change its value: the service trims zeros, DynamoDB Local gives
// numbers inside of lists and maps back as they were written.
func plain(number string) string {
	n, ok := new(big.Rat).SetString(number)
	if !ok {
		return number
	}
	return strings.TrimSuffix(strings.TrimRight(n.FloatString(170), "0"), ".")
}

// order sorts by the JSON text.
func order(list []any) {
	slices.SortFunc(list, func(a, b any) int { return slices.Compare(text(a), text(b)) })
}

func text(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it came out of JSON
	}
	return b
}

// maxPages bounds how many pages of an answer are read: more are a loop.
const maxPages = 300

// answer is the whole answer to a request: that of Query and Scan has the items of all pages and segments. The items of
// a scan are in no order, nor are those of an index with the same sort key; these are put into one.
func (p party) answer(ctx context.Context, req request) (answer, error) {
	if req.operation != "Query" && req.operation != "Scan" {
		return p.call(ctx, req)
	}
	segments := 1
	if n, ok := req.input["TotalSegments"].(int); ok {
		segments = n
	}
	whole := answer{body: object{"Count": 0.0, "ScannedCount": 0.0, "Items": []any{}}}
	for segment := range segments {
		input := object{}
		for name, v := range req.input {
			input[name] = v
		}
		if segments > 1 {
			input["Segment"] = segment
		}
		refused, err := p.pages(ctx, request{req.operation, input}, &whole)
		if err != nil || refused.kind != "" {
			return refused, err
		}
	}
	items := whole.body["Items"].([]any)
	switch x := indexNamed(req.input["IndexName"]); {
	case req.operation == "Scan":
		order(items)
	case x != nil:
		var sequence []any
		for _, it := range items {
			sequence = append(sequence, it.(object)[x.sort.name])
		}
		whole.body["Sequence"] = sequence
		order(items)
	}
	return whole, nil
}

// pages adds the pages of one segment to the whole answer. A refusal of any page is returned.
func (p party) pages(ctx context.Context, req request, whole *answer) (answer, error) {
	for range maxPages {
		page, err := p.call(ctx, req)
		if err != nil || page.kind != "" {
			return page, err
		}
		for _, name := range []string{"Count", "ScannedCount"} {
			n, _ := page.body[name].(float64)
			whole.body[name] = whole.body[name].(float64) + n
		}
		if items, ok := page.body["Items"].([]any); ok {
			whole.body["Items"] = append(whole.body["Items"].([]any), items...)
		}
		next, ok := page.body["LastEvaluatedKey"]
		if !ok {
			return answer{}, nil
		}
		req.input["ExclusiveStartKey"] = next
	}
	return answer{kind: "endless pages"}, nil
}

func indexNamed(name any) *index {
	for _, t := range tables {
		for _, x := range append(append([]index{}, t.indexes...), t.localIndexes...) {
			if x.name == name {
				return &x
			}
		}
	}
	return nil
}
