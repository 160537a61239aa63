package tables

import (
	"maps"
	"slices"
	"strconv"
)

// Units: a write unit writes 1 KiB, a read unit reads 4 KiB with strong consistency or 8 KiB without.
const (
	writeUnit = 1 << 10
	readUnit  = 4 << 10
)

// consumed gathers the capacity units of a request.
type consumed struct {
	detail string // ReturnConsumedCapacity
	table  string
	double bool // the request is a transaction, whose every unit is two
	base   float64
	local  map[string]float64
	global map[string]float64
}

func writeUnits(size int) float64 { return float64(max(1, (size+writeUnit-1)/writeUnit)) }

func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+readUnit-1)/readUnit))
	if !consistent {
		units /= 2
	}
	return units
}

func (c *consumed) index(x *index, units float64) {
	if units == 0 {
		return
	}
	of := &c.global
	if !x.Global {
		of = &c.local
	}
	if *of == nil {
		*of = map[string]float64{}
	}
	(*of)[x.Name] += units
}

func (c *consumed) wanted() bool { return c.detail == "TOTAL" || c.detail == "INDEXES" }

// times is what a unit of plain reads and writes is multiplied by.
func (c *consumed) times() float64 {
	if c.double {
		return 2
	}
	return 1
}

// appendTo appends the member ConsumedCapacity if the request asked for it.
func (c *consumed) appendTo(b []byte) []byte {
	if !c.wanted() {
		return b
	}
	return append(c.appendObject(append(b, `"ConsumedCapacity":`...)), ',')
}

// appendObject appends the units as an object.
func (c *consumed) appendObject(b []byte) []byte {
	total := c.base
	for _, of := range []map[string]float64{c.local, c.global} {
		for _, units := range of {
			total += units
		}
	}
	b = append(b, `{"TableName":"`...)
	b = append(append(b, c.table...), `","CapacityUnits":`...)
	b = strconv.AppendFloat(b, total, 'f', -1, 64)
	if c.detail == "INDEXES" {
		b = append(b, `,"Table":`...)
		b = appendUnits(b, c.base)
		b = appendIndexUnits(b, "LocalSecondaryIndexes", c.local)
		b = appendIndexUnits(b, "GlobalSecondaryIndexes", c.global)
	}
	return append(b, '}')
}

// allConsumed are the units of a request on several tables.
type allConsumed struct {
	detail string
	double bool
	tables map[string]*consumed
}

// of are the units of one table.
func (a *allConsumed) of(table string) *consumed {
	if a.tables == nil {
		a.tables = map[string]*consumed{}
	}
	c := a.tables[table]
	if c == nil {
		c = &consumed{detail: a.detail, table: table, double: a.double}
		a.tables[table] = c
	}
	return c
}

// appendTo appends the member ConsumedCapacity, a list, if the request asked for it.
func (a *allConsumed) appendTo(b []byte) []byte {
	if a.detail != "TOTAL" && a.detail != "INDEXES" {
		return b
	}
	b = append(b, `"ConsumedCapacity":[`...)
	for i, name := range sortedNames(a.tables) {
		if i > 0 {
			b = append(b, ',')
		}
		b = a.tables[name].appendObject(b)
	}
	return append(b, ']', ',')
}

func appendUnits(b []byte, units float64) []byte {
	b = append(b, `{"CapacityUnits":`...)
	return append(strconv.AppendFloat(b, units, 'f', -1, 64), '}')
}

func appendIndexUnits(b []byte, member string, of map[string]float64) []byte {
	if len(of) == 0 {
		return b
	}
	b = append(append(append(b, ',', '"'), member...), '"', ':', '{')
	for i, name := range slices.Sorted(maps.Keys(of)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendUnits(append(append(append(b, '"'), name...), '"', ':'), of[name])
	}
	return append(b, '}')
}
