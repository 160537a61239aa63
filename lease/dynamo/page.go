package dynamo

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http"
)

// A pageReader is the wire protocol of a scan. It reads the answers straight into a view, one item after the other in the
// same memory: of what the SDK does, which makes a tree of a whole page first, this takes a fraction, and a leader reads
// its whole table every second or two. Requests, and answers that are errors, are the SDK's.
type pageReader struct {
	http.ClientProtocol
	view *view
}

// DeserializeResponse reads a page.
func (r pageReader) DeserializeResponse(ctx context.Context, op *smithy.OperationSchema, reg *smithy.TypeRegistry, resp *http.Response, out smithy.Deserializable) error {
	page, ok := out.(*dynamodb.ScanOutput)
	if !ok || resp.StatusCode < 200 || resp.StatusCode >= 300 {
		return r.ClientProtocol.DeserializeResponse(ctx, op, reg, resp, out)
	}
	var body strings.Builder
	body.Grow(int(min(max(resp.ContentLength, 512), 2<<20)))
	if _, err := io.Copy(&body, resp.Body); err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	if err := readPage(body.String(), page, r.view.add); err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	return nil
}

// readPage reads the answer of a Scan, a Query, or a call that answers one item: the items go to add, one by one, and are
// valid during the call only; the rest goes into page.
func readPage(body string, page *dynamodb.ScanOutput, add func(item)) error {
	p := parsers.Get().(*parser)
	p.text = body
	defer p.done()
	for more := p.open('{'); p.next(&more, '}'); {
		switch p.name() {
		case "Items":
			p.items(add)
		case "Item", "Attributes":
			p.item(add)
		case "LastEvaluatedKey":
			page.LastEvaluatedKey = make(item)
			p.slab, p.nums = nil, nil // it outlives the page, and may come before the items
			p.attributes(page.LastEvaluatedKey)
			p.slab, p.nums = nil, nil
		case "ConsumedCapacity":
			page.ConsumedCapacity = p.capacity()
		default:
			p.skip()
		}
	}
	if p.space(); p.err == nil && p.at < len(p.text) {
		p.fail("the end")
	}
	return p.err
}

// parsers keep the memory of the items that they have read.
var parsers = sync.Pool{New: func() any { return &parser{it: make(item, 16)} }}

// done puts p back; none of its items is used any more.
func (p *parser) done() {
	clear(p.it)
	clear(p.slab[:cap(p.slab)])
	clear(p.nums[:cap(p.nums)])
	*p = parser{it: p.it, slab: p.slab[:0], nums: p.nums[:0]}
	parsers.Put(p)
}

// A parser reads JSON. It remembers its first error, after which it reads no more. What it returns shares the text's
// memory, but for what is said to be a copy.
type parser struct {
	text string
	at   int
	err  error
	it   item                          // that is being read
	slab []types.AttributeValueMemberS // its strings
	nums []types.AttributeValueMemberN
}

func (p *parser) fail(want string) {
	if p.err == nil {
		p.err = fmt.Errorf("answer: want %s at byte %d of %d", want, p.at, len(p.text))
	}
	p.at = len(p.text)
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek is the next byte that is no space, 0 at the end.
func (p *parser) peek() byte {
	if p.space(); p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) want(c byte) {
	if p.peek() != c {
		p.fail(strconv.QuoteRune(rune(c)))
		return
	}
	p.at++
}

// open begins an object or array; its result is for next.
func (p *parser) open(c byte) (first bool) {
	p.want(c)
	return true
}

// next reports whether another member or element follows.
func (p *parser) next(first *bool, end byte) bool {
	c := p.peek()
	switch {
	case p.err != nil:
		return false
	case c == end:
		p.at++
		return false
	case *first:
		*first = false
		return true
	}
	p.want(',')
	return p.err == nil
}

// name is that of a member.
func (p *parser) name() string {
	s := p.string()
	p.want(':')
	return s
}

func (p *parser) string() string {
	p.want('"')
	if p.err != nil {
		return ""
	}
	rest := p.text[p.at:]
	end := strings.IndexByte(rest, '"')
	if end < 0 {
		p.fail("the end of a string")
		return ""
	}
	if s := rest[:end]; strings.IndexByte(s, '\\') < 0 {
		p.at += end + 1
		return s
	}
	for end = 0; end < len(rest) && rest[end] != '"'; end++ {
		if rest[end] == '\\' {
			end++
		}
	}
	if end >= len(rest) {
		p.fail("the end of a string")
		return ""
	}
	var s string
	if err := json.Unmarshal([]byte(p.text[p.at-1:p.at+end+1]), &s); err != nil {
		p.fail("a string")
		return ""
	}
	p.at += end + 1
	return s
}

// word is a number or literal as it is written.
func (p *parser) word() string {
	p.space()
	start := p.at
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n,:]}[{\"", p.text[p.at]) < 0 {
		p.at++
	}
	if p.at == start {
		p.fail("a value")
	}
	return p.text[start:p.at]
}

// skip reads any value.
func (p *parser) skip() {
	switch p.peek() {
	case '"':
		p.string()
	case '{':
		for more := p.open('{'); p.next(&more, '}'); {
			p.name()
			p.skip()
		}
	case '[':
		for more := p.open('['); p.next(&more, ']'); {
			p.skip()
		}
	default:
		p.word()
	}
}

func (p *parser) items(add func(item)) {
	for more := p.open('['); p.next(&more, ']'); {
		p.item(add)
	}
}

func (p *parser) item(add func(item)) {
	clear(p.it)
	p.slab, p.nums = p.slab[:0], p.nums[:0]
	p.attributes(p.it)
	if p.err == nil {
		add(p.it)
	}
}

// attributes reads an object of attributes into it.
func (p *parser) attributes(it item) {
	for more := p.open('{'); p.next(&more, '}'); {
		name := p.name()
		it[name] = p.value()
	}
}

// value reads an attribute's value, {"type": value}.
func (p *parser) value() (v types.AttributeValue) {
	more := p.open('{')
	if !p.next(&more, '}') {
		p.fail("the type of a value")
		return nil
	}
	switch kind := p.name(); kind {
	case "S":
		p.slab = append(p.slab, types.AttributeValueMemberS{Value: p.string()})
		v = &p.slab[len(p.slab)-1]
	case "N":
		p.nums = append(p.nums, types.AttributeValueMemberN{Value: p.string()})
		v = &p.nums[len(p.nums)-1]
	case "B":
		v = &types.AttributeValueMemberB{Value: p.bytes()}
	case "SS":
		v = &types.AttributeValueMemberSS{Value: p.strings()}
	case "NS":
		v = &types.AttributeValueMemberNS{Value: p.strings()}
	case "BS":
		set := &types.AttributeValueMemberBS{}
		for more := p.open('['); p.next(&more, ']'); {
			set.Value = append(set.Value, p.bytes())
		}
		v = set
	case "M":
		m := &types.AttributeValueMemberM{Value: make(item)}
		for more := p.open('{'); p.next(&more, '}'); {
			name := strings.Clone(p.name())
			m.Value[name] = p.value()
		}
		v = m
	case "L":
		l := &types.AttributeValueMemberL{}
		for more := p.open('['); p.next(&more, ']'); {
			l.Value = append(l.Value, p.value())
		}
		v = l
	case "BOOL":
		v = &types.AttributeValueMemberBOOL{Value: p.word() == "true"}
	case "NULL":
		v = &types.AttributeValueMemberNULL{Value: p.word() == "true"}
	default:
		p.skip()
		v = &types.UnknownUnionMember{Tag: strings.Clone(kind)}
	}
	if p.next(&more, '}') {
		p.fail("the end of a value")
	}
	return v
}

// bytes is a copy of base64.
func (p *parser) bytes() []byte {
	b, err := base64.StdEncoding.DecodeString(p.string())
	if err != nil {
		p.fail("base64")
	}
	return b
}

// strings is a copy of an array of strings.
func (p *parser) strings() []string {
	var s []string
	for more := p.open('['); p.next(&more, ']'); {
		s = append(s, strings.Clone(p.string()))
	}
	return s
}

func (p *parser) capacity() *types.ConsumedCapacity {
	c := &types.ConsumedCapacity{}
	for more := p.open('{'); p.next(&more, '}'); {
		if p.name() != "CapacityUnits" {
			p.skip()
			continue
		}
		units, err := strconv.ParseFloat(p.word(), 64)
		if err != nil {
			p.fail("a number of units")
		}
		c.CapacityUnits = &units
	}
	return c
}
