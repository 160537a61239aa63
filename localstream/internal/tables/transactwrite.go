package tables

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// maxTransaction is how many bytes the items of a transaction may have together.
const maxTransaction = 4 << 20

type transactWriteInput struct {
	TransactItems               []transactWrite `required:"true" len:"1..100"`
	ReturnConsumedCapacity      string          `enum:"INDEXES, TOTAL, NONE"`
	ReturnItemCollectionMetrics string          `enum:"SIZE, NONE"`
	ClientRequestToken          *string         `len:"1..36"`
}

// transactWrite has exactly one of its members.
type transactWrite struct {
	ConditionCheck *struct {
		Key                 attr.Item `required:"true"`
		TableName           *string   `required:"true"`
		ConditionExpression *string   `required:"true"`
		transactCondition
	}
	Put *struct {
		Item                attr.Item `required:"true"`
		TableName           *string   `required:"true"`
		ConditionExpression *string
		transactCondition
	}
	Delete *struct {
		Key                 attr.Item `required:"true"`
		TableName           *string   `required:"true"`
		ConditionExpression *string
		transactCondition
	}
	Update *struct {
		Key                 attr.Item `required:"true"`
		UpdateExpression    *string   `required:"true"`
		TableName           *string   `required:"true"`
		ConditionExpression *string
		transactCondition
	}
}

type transactCondition struct {
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           attr.Item
	ReturnValuesOnConditionCheckFailure string `enum:"ALL_OLD, NONE"`
}

// input is the same write as an operation of its own.
func (c *transactCondition) input(table, condition *string) *writeInput {
	return &writeInput{
		TableName: table, ConditionExpression: condition, ExpressionAttributeNames: c.ExpressionAttributeNames,
		ExpressionAttributeValues: c.ExpressionAttributeValues, ReturnValuesOnConditionCheckFailure: c.ReturnValuesOnConditionCheckFailure,
	}
}

// inTransaction is one write of a transaction: in is what was asked for, check tests it against its table.
type inTransaction struct {
	*writing
	kind  string
	in    *writeInput
	check func(*table) error
}

// transactWriteItems tests all conditions and does all writes in one update of the store, or none of them.
func (s *Service) transactWriteItems(ctx context.Context, in *transactWriteInput) (any, error) {
	all, err := s.bindTransaction(in)
	if err != nil {
		return nil, err
	}
	units := &allConsumed{detail: in.ReturnConsumedCapacity, double: true}
	if err := s.checkTransaction(all, units, in.ClientRequestToken); err != nil {
		return nil, err
	}
	t := token{Request: digest(all)}
	err = s.store.Update(ctx, func(tx *storage.Tx) error {
		done, err := s.replayed(tx.Get, in.ClientRequestToken, &t)
		if err != nil || done {
			return err
		}
		return s.transact(tx, all, in.ClientRequestToken, &t)
	})
	if err != nil {
		return nil, err
	}
	if t.replay {
		units = t.units(in.ReturnConsumedCapacity)
	}
	return &transactWriteReply{units}, nil
}

// bindTransaction checks and binds what needs no table.
func (s *Service) bindTransaction(in *transactWriteInput) ([]*inTransaction, error) {
	var all []*inTransaction
	for i := range in.TransactItems {
		m := &in.TransactItems[i]
		n := 0
		for _, given := range []bool{m.ConditionCheck != nil, m.Put != nil, m.Delete != nil, m.Update != nil} {
			if given {
				n++
			}
		}
		switch n {
		case 0:
			return nil, invalid("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
		case 1:
		default:
			return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
		}
		w, err := s.bindTransacted(m)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

func (s *Service) bindTransacted(m *transactWrite) (w *inTransaction, err error) {
	w = &inTransaction{}
	switch {
	case m.Put != nil:
		w.kind, w.in = "Put", m.Put.input(m.Put.TableName, m.Put.ConditionExpression)
		w.in.Item = m.Put.Item
		w.check = func(t *table) error { return t.checkItem(w.in.Item) }
		w.writing, err = s.putting(w.in)
	case m.Delete != nil:
		w.kind, w.in = "Delete", m.Delete.input(m.Delete.TableName, m.Delete.ConditionExpression)
		w.in.Key = m.Delete.Key
		w.check = func(t *table) error { return t.checkKey(w.in.Key) }
		w.writing, err = s.deleting(w.in)
	case m.ConditionCheck != nil:
		w.kind, w.in = "ConditionCheck", m.ConditionCheck.input(m.ConditionCheck.TableName, m.ConditionCheck.ConditionExpression)
		w.in.Key = m.ConditionCheck.Key
		w.check = func(t *table) error { return t.checkKey(w.in.Key) }
		if w.writing, err = s.deleting(w.in); err == nil {
			w.next = nil
		}
	default:
		w.kind, w.in = "Update", m.Update.input(m.Update.TableName, m.Update.ConditionExpression)
		w.in.Key, w.in.UpdateExpression = m.Update.Key, m.Update.UpdateExpression
		var ch changes
		w.check = func(t *table) error { return checkUpdate(t, w.in, ch) }
		w.writing, ch, err = s.updating(w.in)
	}
	return w, err
}

// checkTransaction finds the tables and checks the writes against them. Malformed values and one item twice come before a
// table that is missed, and another transaction's token before what is wrong with the writes.
func (s *Service) checkTransaction(all []*inTransaction, units *allConsumed, name *string) error {
	var missed error
	failed := make([]reason, len(all))
	for i, w := range all {
		err := s.locate(w.writing, w.in)
		if e := (*wire.Error)(nil); errors.As(err, &e) && e.Type == "ResourceNotFoundException" {
			missed = cmp.Or(missed, err)
			failed[i].code = "NotFound" // not to be looked at below
			continue
		}
		if err != nil {
			return err
		}
		w.units = units.of(w.table.Name)
	}
	malformed := slices.IndexFunc(all, func(w *inTransaction) bool { return w.problem() != "" })
	switch {
	case missed != nil && malformed >= 0:
		return invalid("%s", all[malformed].problem())
	case missed == nil && malformed < 0:
		if _, err := s.replayed(s.store.Get, name, &token{Request: digest(all)}); err != nil {
			return err
		}
	}
	for i, w := range all {
		if failed[i].code != "" {
			continue
		}
		if err := failed[i].set(w.check(w.table)); err != nil && missed == nil {
			return err
		} else if err != nil {
			return missed
		}
	}
	if missed == nil {
		if err := cancelled(failed); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for i, w := range all {
		if failed[i].code != "" {
			continue
		}
		key, _ := w.table.base.storageKey(w.table, w.key)
		if seen[string(key)] {
			return errOneItemTwice()
		}
		seen[string(key)] = true
	}
	return missed
}

// problem is what is wrong with a value of w that no item can have, whatever its table is.
func (w *inTransaction) problem() string {
	return cmp.Or(w.in.Item.Problem(), w.in.Key.Problem(), w.in.ExpressionAttributeValues.Problem())
}

func errOneItemTwice() error {
	return invalid("Transaction request cannot include multiple operations on one item")
}

// transact decides and applies all writes within an update, and remembers the token.
func (s *Service) transact(tx *storage.Tx, all []*inTransaction, name *string, t *token) error {
	writes, decided, failed := make([]*writing, len(all)), make([]change, len(all)), make([]reason, len(all))
	size := 0
	for i, w := range all {
		writes[i] = w.writing
		c, err := s.decide(tx, w.writing)
		if err := failed[i].set(err); err != nil {
			return err
		}
		decided[i] = c
		size += max(c.old.Size(), c.new.Size())
	}
	if err := cancelled(failed); err != nil {
		return err
	}
	if size > maxTransaction {
		return invalid("Transaction request exceeds the limit: its items have %d bytes, at most %d are allowed", size, maxTransaction)
	}
	if err := apply(tx, writes, decided); err != nil {
		return err
	}
	if name != nil {
		t.charge(writes, decided)
		s.remember(tx, *name, t)
	}
	return nil
}

// reason tells why one write stands in the way of its transaction; the zero reason that it does not.
type reason struct {
	code, message string
	item          attr.Item
}

// set takes up the failures that cancel a transaction and returns the others.
func (r *reason) set(err error) error {
	var failure *wire.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Type {
	case "ConditionalCheckFailedException":
		r.code = "ConditionalCheckFailed"
		if it, ok := failure.Members["Item"].(itemJSON); ok {
			r.item = attr.Item(it)
		}
	case "ValidationException":
		r.code = "ValidationError"
	default:
		return err
	}
	r.message = failure.Message
	return nil
}

// reasons are the CancellationReasons, one for each write.
type reasons []reason

// cancelled is the error of a transaction in whose way something stands, nil if nothing does.
func cancelled(failed reasons) error {
	codes := make([]string, len(failed))
	failure := false
	for i, r := range failed {
		if codes[i] = "None"; r.code != "" {
			codes[i] = r.code
			failure = true
		}
	}
	if !failure {
		return nil
	}
	err := wire.Errorf("TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
	err.Members = map[string]any{"CancellationReasons": failed}
	return err
}

// AppendJSON appends the reasons.
func (all reasons) AppendJSON(b []byte) ([]byte, error) {
	b = append(b, '[')
	for _, r := range all {
		if r.code == "" {
			b = append(b, `{"Code":"None"},`...)
			continue
		}
		b = append(attr.AppendQuoted(append(b, `{"Code":`...), r.code), ',')
		b = append(attr.AppendQuoted(append(b, `"Message":`...), r.message), ',')
		if r.item != nil {
			b = append(r.item.AppendJSON(append(b, `"Item":`...)), ',')
		}
		b = append(closeObject(b), ',')
	}
	return closeList(b), nil
}

type transactWriteReply struct{ units *allConsumed }

// AppendJSON appends the reply.
func (r *transactWriteReply) AppendJSON(b []byte) ([]byte, error) {
	return closeObject(r.units.appendTo(append(b, '{'))), nil
}
