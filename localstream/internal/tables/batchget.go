package tables

import (
	"context"
	"encoding/json"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
)

// Limits of batches.
const (
	maxBatchGet      = 100
	maxBatchGetBytes = 16 << 20 // of items in one reply; the keys of the rest come back
	maxBatchWrite    = 25
)

type keysAndAttributes struct {
	Keys                     []attr.Item       `required:"true" len:"1..100" json:"-"`
	AttributesToGet          []string          `len:"1..255" json:",omitempty"`
	ConsistentRead           bool              `json:",omitempty"`
	ProjectionExpression     *string           `json:",omitempty"`
	ExpressionAttributeNames map[string]string `json:",omitempty"`
}

type batchGetInput struct {
	RequestItems           map[string]keysAndAttributes `required:"true" len:"1..100"`
	ReturnConsumedCapacity string                       `enum:"INDEXES, TOTAL, NONE"`
}

// gets are the keys of one table in a batch, checked and bound.
type gets struct {
	in     keysAndAttributes
	member string // the table as the request names it
	table  *table
	paths  []expr.Path
}

func (s *Service) batchGetItem(_ context.Context, in *batchGetInput) (any, error) {
	all, err := s.bindGets(in)
	if err != nil {
		return nil, err
	}
	reply := &batchGetReply{units: allConsumed{detail: in.ReturnConsumedCapacity}}
	left := maxBatchGetBytes
	for _, g := range all {
		reply.tables = append(reply.tables, g.member)
		reply.items = append(reply.items, nil)
		reply.unprocessed = append(reply.unprocessed, keysAndAttributes{})
		if err := s.getAll(reply, g, &left); err != nil {
			return nil, err
		}
	}
	return reply, nil
}

func (s *Service) bindGets(in *batchGetInput) ([]gets, error) {
	var all []gets
	n := 0
	for _, member := range sortedNames(in.RequestItems) {
		g := gets{in: in.RequestItems[member], member: member}
		var err error
		g.paths, err = s.getProjection(&getInput{
			AttributesToGet: g.in.AttributesToGet, ProjectionExpression: g.in.ProjectionExpression, ExpressionAttributeNames: g.in.ExpressionAttributeNames,
		})
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		for _, key := range g.in.Keys {
			if problem := key.Problem(); problem != "" {
				return nil, invalid("%s", problem)
			}
			encoded := string(attr.Encode(nil, key))
			if seen[encoded] {
				return nil, errDuplicateKeys()
			}
			seen[encoded] = true
		}
		if n += len(g.in.Keys); n > maxBatchGet {
			return nil, invalid("Too many items requested for the BatchGetItem call")
		}
		all = append(all, g)
	}
	for i := range all {
		if err := s.locateGets(&all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *Service) locateGets(g *gets) error {
	name, err := s.tableName(g.member)
	if err != nil {
		return err
	}
	if g.table, err = s.table(name); err != nil {
		return err
	}
	for _, key := range g.in.Keys {
		if err := g.table.checkKey(key); err != nil {
			return err
		}
	}
	return checkScalarKeys(g.table, g.paths)
}

func errDuplicateKeys() error { return invalid("Provided list of item keys contains duplicates") }

// getAll adds the items of one table to the reply until left bytes are used up; the keys behind stay unprocessed.
func (s *Service) getAll(reply *batchGetReply, g gets, left *int) error {
	at := len(reply.tables) - 1
	for i, key := range g.in.Keys {
		if *left <= 0 {
			reply.unprocessed[at] = g.in
			reply.unprocessed[at].Keys = g.in.Keys[i:]
			return nil
		}
		var one itemReply
		size, err := s.fetch(&one, g.table, key, g.paths)
		if err != nil {
			return err
		}
		if size > *left {
			*left = 0
			reply.unprocessed[at] = g.in
			reply.unprocessed[at].Keys = g.in.Keys[i:]
			return nil
		}
		*left -= size
		reply.units.of(g.table.Name).base += readUnits(size, g.in.ConsistentRead)
		if one.stored != nil {
			reply.items[at] = append(append(reply.items[at], one.stored...), ',')
		} else if one.item != nil {
			reply.items[at] = append(one.item.AppendJSON(reply.items[at]), ',')
		}
	}
	return nil
}

// batchGetReply has one element for each table in all its slices.
type batchGetReply struct {
	tables      []string
	items       [][]byte // JSON, each item with a comma behind
	unprocessed []keysAndAttributes
	units       allConsumed
}

// AppendJSON appends the reply.
func (r *batchGetReply) AppendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"Responses":{`...)
	for i, name := range r.tables {
		b = append(attr.AppendQuoted(b, name), ':', '[')
		b = append(closeList(append(b, r.items[i]...)), ',')
	}
	b = append(closeObject(b), `,"UnprocessedKeys":{`...)
	for i, name := range r.tables {
		if len(r.unprocessed[i].Keys) == 0 {
			continue
		}
		b = append(attr.AppendQuoted(b, name), ':')
		var err error
		if b, err = r.unprocessed[i].appendJSON(b); err != nil {
			return nil, err
		}
		b = append(b, ',')
	}
	b = append(closeObject(b), ',')
	return closeObject(r.units.appendTo(b)), nil
}

func (k *keysAndAttributes) appendJSON(b []byte) ([]byte, error) {
	rest, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	b = append(b, rest[:len(rest)-1]...)
	if len(rest) > len("{}") {
		b = append(b, ',')
	}
	b = append(b, `"Keys":[`...)
	for _, key := range k.Keys {
		b = append(key.AppendJSON(b), ',')
	}
	return append(closeList(b), '}'), nil
}
