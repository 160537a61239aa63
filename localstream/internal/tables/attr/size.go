package attr

// Limits of items and keys, in bytes.
const (
	MaxItemSize  = 400 << 10
	MaxHashKey   = 2048
	MaxRangeKey  = 1024
	MaxNesting   = 32
	containerTax = 3 // what a list or map costs by itself
)

// Size is what DynamoDB counts for the item: names and values.
func (it Item) Size() int {
	n := 0
	for name, v := range it {
		n += len(name) + v.Size()
	}
	return n
}

// Size is what DynamoDB counts for the value, without its name.
func (v Value) Size() int {
	switch v.Kind {
	case S, B:
		return len(v.Str)
	case N:
		return numberSize(v.Str)
	case BOOL, NULL:
		return 1
	case SS, BS:
		n := 0
		for _, e := range v.Set() {
			n += len(e)
		}
		return n
	case NS:
		n := 0
		for _, e := range v.Set() {
			n += numberSize(e)
		}
		return n
	case L, M:
		n := containerTax
		d := decoder{rest: v.Str}
		count, _ := d.count()
		for range count {
			if v.Kind == M {
				name, _ := d.text()
				n += len(name)
			}
			e, _ := d.value(0)
			n += 1 + e.Size()
		}
		return n
	}
	return 0
}

// TooDeep reports whether lists and maps are nested deeper than MaxNesting.
func (it Item) TooDeep() bool {
	for _, v := range it {
		if v.deeperThan(MaxNesting) {
			return true
		}
	}
	return false
}

func (v Value) deeperThan(levels int) bool {
	if v.Kind != L && v.Kind != M {
		return false
	}
	if levels == 0 {
		return true
	}
	d := decoder{rest: v.Str}
	count, _ := d.count()
	for range count {
		if v.Kind == M {
			_, _ = d.text()
		}
		if e, _ := d.value(0); e.deeperThan(levels - 1) {
			return true
		}
	}
	return false
}

// numberSize is one byte for each pair of digits (pairs are aligned on the decimal exponent), one for the exponent and
// one for a minus sign.
func numberSize(number string) int {
	negative, digits, exponent := normalized(number)
	if digits == "" {
		return 1
	}
	pairs := floorHalf(exponent+1) - floorHalf(exponent+2-len(digits)) + 1
	if negative {
		pairs++
	}
	return 1 + pairs
}

func floorHalf(n int) int { return n >> 1 }
