package tables

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// tokenLife is how long a transaction is remembered by its ClientRequestToken.
const tokenLife = 10 * time.Minute

// tokenVersion is the version of a stored token.
const tokenVersion = 1

// token is what is remembered of a transaction that was done.
type token struct {
	Version int
	Request string // digest of what was asked for
	Expires int64  // in milliseconds
	Reads   map[string]float64

	replay bool // the request at hand is this transaction again
}

// digest tells transactions apart: the same for the same writes, however their JSON was written.
func digest(all []*inTransaction) string {
	h := sha256.New()
	add := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	text := func(s *string) {
		if s == nil {
			add(nil)
			return
		}
		add([]byte("=" + *s))
	}
	for _, w := range all {
		add([]byte(w.kind))
		add([]byte(w.table.Name))
		text(w.in.ConditionExpression)
		text(w.in.UpdateExpression)
		add([]byte(w.in.ReturnValuesOnConditionCheckFailure))
		for _, it := range []attr.Item{w.in.Item, w.in.Key, w.in.ExpressionAttributeValues} {
			add(attr.Encode(nil, it))
		}
		add(binary.BigEndian.AppendUint64(nil, uint64(len(w.in.ExpressionAttributeNames))))
		for _, name := range sortedNames(w.in.ExpressionAttributeNames) {
			add([]byte(name))
			add([]byte(w.in.ExpressionAttributeNames[name]))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// replayed looks whether the transaction of that name was done already; t, which has its digest, becomes what is
// remembered of it. Another transaction of the same name is refused.
func (s *Service) replayed(get func(key []byte) ([]byte, bool, error), name *string, t *token) (bool, error) {
	if name == nil {
		return false, nil
	}
	stored, found, err := get(tokenKey(*name))
	if err != nil || !found {
		return false, err
	}
	was, err := decodeToken(stored)
	switch {
	case err != nil:
		return false, err
	case was.Expires <= s.o.Clock.Now().UnixMilli():
		return false, nil
	case was.Request != t.Request:
		return false, wire.Errorf("IdempotentParameterMismatchException",
			"DynamoDB rejected the request because you retried a request with a different payload but with an idempotent token that was already used.")
	}
	*t = was
	t.replay = true
	return true, nil
}

func (s *Service) remember(tx *storage.Tx, name string, t *token) {
	t.Version, t.Expires = tokenVersion, s.o.Clock.Now().Add(tokenLife).UnixMilli()
	text, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("tables: token: %v", err)) // it has no values that JSON cannot hold
	}
	tx.Set(tokenKey(name), text)
	tx.Set(tokenExpiryKey(t.Expires, name), nil)
}

func decodeToken(stored []byte) (t token, err error) {
	if err := json.Unmarshal(stored, &t); err != nil {
		return t, fmt.Errorf("tables: stored token: %w", err)
	}
	if t.Version != tokenVersion {
		return t, fmt.Errorf("tables: stored token has version %d, this program reads %d", t.Version, tokenVersion)
	}
	return t, nil
}

// charge notes what a repetition costs: reading the items that were written.
func (t *token) charge(all []*writing, decided []change) {
	t.Reads = map[string]float64{}
	for i, w := range all {
		t.Reads[w.table.Name] += 2 * readUnits(decided[i].new.Size(), true)
	}
}

func (t *token) units(detail string) *allConsumed {
	units := &allConsumed{detail: detail, double: true}
	for name, reads := range t.Reads {
		units.of(name).base = reads
	}
	return units
}

// forgetTokens removes the tokens that have expired.
func (s *Service) forgetTokens() error {
	now := s.o.Clock.Now().UnixMilli()
	for more := true; more; {
		err := s.store.Update(s.ctx, func(tx *storage.Tx) (err error) {
			more, err = forgetSomeTokens(tx, now)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetSomeTokens removes up to a step's worth and reports whether there may be more.
func forgetSomeTokens(tx *storage.Tx, now int64) (more bool, err error) {
	expired, err := expiredTokens(tx, now)
	if err != nil {
		return false, err
	}
	doomed := expired
	for _, key := range expired {
		name := tokenKey(string(key[len(tokenExpiryKey(0, "")):]))
		stored, found, err := tx.Get(name)
		if err != nil {
			return false, err
		}
		if !found {
			continue
		}
		t, err := decodeToken(stored)
		if err != nil {
			return false, err
		}
		if t.Expires <= now { // else the name has been used again since
			doomed = append(doomed, name)
		}
	}
	for _, key := range doomed {
		tx.Delete(key)
	}
	return len(expired) == sweepStep, nil
}

// expiredTokens are the expiry keys of tokens whose time has come, up to a step's worth.
func expiredTokens(tx *storage.Tx, now int64) (keys [][]byte, err error) {
	it, err := tx.Iter(tokenExpiryKey(0, ""), tokenExpiryKey(now+1, ""))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.First(); ok && len(keys) < sweepStep; ok = it.Next() {
		keys = append(keys, append([]byte(nil), it.Key()...))
	}
	return keys, it.Error()
}
