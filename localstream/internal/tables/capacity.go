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

// appendTo appends the member ConsumedCapacity if the request asked for it.
func (c *consumed) appendTo(b []byte) []byte {
	if !c.wanted() {
		return b
	}
	total := c.base
	for _, of := range []map[string]float64{c.local, c.global} {
		for _, units := range of {
			total += units
		}
	}
	b = append(b, `"ConsumedCapacity":{"TableName":"`...)
	b = append(append(b, c.table...), `","CapacityUnits":`...)
	b = strconv.AppendFloat(b, total, 'f', -1, 64)
	if c.detail == "INDEXES" {
		b = append(b, `,"Table":`...)
		b = appendUnits(b, c.base)
		b = appendIndexUnits(b, "LocalSecondaryIndexes", c.local)
		b = appendIndexUnits(b, "GlobalSecondaryIndexes", c.global)
	}
	return append(b, '}', ',')
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
