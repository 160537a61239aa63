package prefix

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timestamp reads a pattern of Java's DateTimeFormatter with the letters y, M, d, H, m and s as numbers; text between
// single quotes and every character that is no letter stand for themselves. It tells the arrival of the first record.
func timestamp(pattern string, zone *time.Location) (part, error) {
	if pattern == "" {
		return nil, fmt.Errorf("has no pattern, such as yyyy/MM/dd/HH")
	}
	var fields []func(t time.Time) string
	for rest := pattern; rest != ""; {
		c := rest[0]
		n := len(rest) - len(strings.TrimLeft(rest, string(c)))
		switch {
		case c == '\'':
			quoted, after, closed := strings.Cut(rest[1:], "'")
			if !closed {
				return nil, fmt.Errorf("a quote is not closed")
			}
			if quoted == "" {
				quoted = "'"
			}
			fields = append(fields, literal(quoted))
			rest = after
			continue
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			f, err := number(c, n)
			if err != nil {
				return nil, err
			}
			fields = append(fields, f)
		default:
			fields = append(fields, literal(rest[:n]))
		}
		rest = rest[n:]
	}
	return func(f *First) string {
		at := f.Arrival.In(zone)
		var b strings.Builder
		for _, field := range fields {
			b.WriteString(field(at))
		}
		return b.String()
	}, nil
}

func literal(text string) func(time.Time) string { return func(time.Time) string { return text } }

// number is a field of n letters c: at least n digits, and for years the last two if n is 2.
func number(c byte, n int) (func(time.Time) string, error) {
	if most := map[byte]int{'y': 4, 'M': 2, 'd': 2, 'H': 2, 'm': 2, 's': 2}[c]; n > most {
		return nil, fmt.Errorf("pattern letters %s: want y to yyyy, or M, d, H, m, s, once or twice", strings.Repeat(string(c), n))
	}
	get := map[byte]func(time.Time) int{
		'y': time.Time.Year, 'M': func(t time.Time) int { return int(t.Month()) }, 'd': time.Time.Day,
		'H': time.Time.Hour, 'm': time.Time.Minute, 's': time.Time.Second,
	}[c]
	return func(t time.Time) string {
		v := get(t)
		if c == 'y' && n == 2 {
			v %= 100
		}
		text := strconv.Itoa(v)
		return strings.Repeat("0", max(0, n-len(text))) + text
	}, nil
}
