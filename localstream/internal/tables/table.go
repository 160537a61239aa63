package tables

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// metaVersion is the version of a stored table's metadata.
const metaVersion = 1

// Statuses of tables and indexes.
const (
	creating = "CREATING"
	active   = "ACTIVE"
	updating = "UPDATING"
	deleting = "DELETING"
)

const (
	onDemand    = "PAY_PER_REQUEST"
	provisioned = "PROVISIONED"
)

// table is the schema and state of one table. One that has been published is never changed; see clone.
type table struct {
	Version            int
	Number             uint64 // of its keys
	NextIndex          uint32
	Name               string
	ID                 string
	Created            time.Time
	Status             string
	Attributes         []attribute
	Key                []keyPart
	Billing            string
	OnDemandSince      time.Time
	Throughput         throughput
	DeletionProtection bool
	Tags               []tag
	Recovery           bool
	RecoverySince      time.Time
	RecoveryDays       int32
	Expires            string // the attribute of the time to live, "" if there is none
	ExpiresChanged     time.Time
	Indexes            []*index

	base   *index // the table itself, as an index of all items; derived
	expiry *expiry
}

type attribute struct {
	Name string
	Kind attr.Kind
}

// keyPart is one element of a key schema: the partition key first, then perhaps the sort key.
type keyPart = attribute

type throughput struct {
	Read, Write int64
	Increased   time.Time
	Decreased   time.Time
	Decreases   int64
}

type tag struct{ Key, Value string }

// index is a secondary index, or the table itself.
type index struct {
	Number     uint32
	Name       string
	Global     bool
	Key        []keyPart
	Projection string // ALL, KEYS_ONLY or INCLUDE
	NonKey     []string
	Status     string
	Throughput throughput

	projected []string // the attributes of its entries, nil for all; derived
}

// derive fills in what follows from the stored fields.
func (t *table) derive() *table {
	if t.expiry == nil {
		t.expiry = &expiry{}
	}
	t.base = &index{Number: baseIndex, Key: t.Key, Projection: "ALL", Status: active}
	for _, x := range t.Indexes {
		if x.Projection == "ALL" {
			continue
		}
		x.projected = nil
		for _, k := range append(slices.Clone(t.Key), x.Key...) {
			x.projected = appendOnce(x.projected, k.Name)
		}
		if x.Projection == "INCLUDE" {
			for _, name := range x.NonKey {
				x.projected = appendOnce(x.projected, name)
			}
		}
	}
	return t
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// clone is a copy that may be changed before it is published.
func (t *table) clone() *table {
	c := *t
	c.Attributes = slices.Clone(t.Attributes)
	c.Tags = slices.Clone(t.Tags)
	c.Indexes = make([]*index, len(t.Indexes))
	for i, x := range t.Indexes {
		copied := *x
		c.Indexes[i] = &copied
	}
	return c.derive()
}

func (t *table) encode() []byte {
	text, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("tables: metadata of %s: %v", t.Name, err)) // it has no values that JSON cannot hold
	}
	return text
}

func decodeTable(stored []byte) (*table, error) {
	t := &table{}
	if err := json.Unmarshal(stored, t); err != nil {
		return nil, fmt.Errorf("tables: stored metadata: %w", err)
	}
	if t.Version != metaVersion {
		return nil, fmt.Errorf("tables: stored metadata of %s has version %d, this program reads %d", t.Name, t.Version, metaVersion)
	}
	return t.derive(), nil
}

// readable reports whether item operations find the table.
func (t *table) readable() bool { return t != nil && t.Status != creating && t.Status != deleting }

// index is the secondary index of that name, or nil.
func (t *table) index(name string) *index {
	for _, x := range t.Indexes {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// numbered is the secondary index with that number, or nil.
func (t *table) numbered(number uint32) *index {
	for _, x := range t.Indexes {
		if x.Number == number {
			return x
		}
	}
	return nil
}

// project is the entry of an item in the index.
func (x *index) project(it attr.Item) attr.Item {
	if x.projected == nil {
		return it
	}
	return it.Project(x.projected)
}

// startKey are the names of the attributes in a LastEvaluatedKey.
func (x *index) startKey(t *table) []string {
	var names []string
	for _, k := range append(slices.Clone(t.Key), x.Key...) {
		names = appendOnce(names, k.Name)
	}
	return names
}
