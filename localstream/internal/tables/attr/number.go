package attr

import (
	"errors"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// Limits of a number: up to 38 significant digits, magnitude from 1E-130 to just under 1E+126.
const (
	maxDigits   = 38
	maxExponent = 125
	minExponent = -130
)

// What ParseNumber and the arithmetic refuse, in DynamoDB's words.
var (
	ErrNotNumber = errors.New("The parameter cannot be converted to a numeric value")
	ErrOverflow  = errors.New("Number overflow. Attempting to store a number with magnitude larger than supported range")
	ErrUnderflow = errors.New("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	ErrPrecision = errors.New("Attempting to store more than 38 significant digits in a Number")
)

// NotNumberError is ErrNotNumber with the text that was refused.
type NotNumberError struct{ Text string }

func (e *NotNumberError) Error() string { return ErrNotNumber.Error() + ": " + e.Text }

// Unwrap makes errors.Is(err, ErrNotNumber) hold.
func (e *NotNumberError) Unwrap() error { return ErrNotNumber }

// ParseNumber brings a decimal number into canonical text: plain notation, no needless zeros, no "+" and no "-0"; but
// where that would take many zeros, its digits, E and the exponent of the last of them. Equal numbers have equal canonical texts, which are hardly longer than what was written.
func ParseNumber(text string) (string, error) {
	if text == "" {
		return "", ErrNotNumber
	}
	if isPlainInteger(text) {
		return text, nil
	}
	negative, digits, exponent, ok := scanNumber(text)
	if !ok {
		return "", &NotNumberError{text}
	}
	return formatNumber(negative, digits, exponent)
}

// isPlainInteger recognises the common case that is canonical already: a short integer.
func isPlainInteger(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	if len(digits) == 0 || len(digits) > 18 || (digits[0] == '0' && len(text) > 1) {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

// scanNumber splits text so that its value is 0.digits × 10^exponent, leading zeros removed.
func scanNumber(text string) (negative bool, digits string, exponent int, ok bool) {
	rest := text
	if rest[0] == '-' || rest[0] == '+' {
		negative = rest[0] == '-'
		rest = rest[1:]
	}
	mantissa := rest
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa = rest[:i]
		if exponent, ok = scanExponent(rest[i+1:]); !ok {
			return false, "", 0, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits = whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return false, "", 0, false
	}
	exponent += len(whole)
	stripped := strings.TrimLeft(digits, "0")
	exponent -= len(digits) - len(stripped)
	return negative, stripped, exponent, true
}

// scanExponent reads an exponent; one beyond all use is cut so that sums cannot overflow.
func scanExponent(text string) (int, bool) {
	sign := 1
	if text != "" && (text[0] == '-' || text[0] == '+') {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	text = strings.TrimLeft(text, "0")
	if len(text) > 7 {
		return sign * 10_000_000, true
	}
	e, _ := strconv.Atoi("0" + text)
	return sign * e, true
}

// formatNumber checks the limits and writes 0.digits × 10^exponent in canonical text.
func formatNumber(negative bool, digits string, exponent int) (string, error) {
	digits = strings.TrimRight(digits, "0")
	switch {
	case digits == "":
		return "0", nil
	case exponent-1 > maxExponent:
		return "", ErrOverflow
	case exponent-1 < minExponent:
		return "", ErrUnderflow
	case len(digits) > maxDigits:
		return "", ErrPrecision
	}
	if exponent < -manyZeros || exponent-len(digits) > manyZeros {
		if negative {
			digits = "-" + digits
		}
		return digits + "E" + strconv.Itoa(exponent-len(strings.TrimPrefix(digits, "-"))), nil
	}
	return plainNumber(negative, digits, exponent), nil
}

// manyZeros is how many zeros canonical text has at most before or behind a number's digits: a short integer, which is
// canonical as it stands, has fewer.
const manyZeros = 18

// plainNumber is 0.digits × 10^exponent without an exponent.
func plainNumber(negative bool, digits string, exponent int) string {
	var b strings.Builder
	if negative {
		b.WriteByte('-')
	}
	switch {
	case exponent <= 0:
		b.WriteString("0.")
		writeZeros(&b, -exponent)
		b.WriteString(digits)
	case exponent >= len(digits):
		b.WriteString(digits)
		writeZeros(&b, exponent-len(digits))
	default:
		b.WriteString(digits[:exponent])
		b.WriteByte('.')
		b.WriteString(digits[exponent:])
	}
	return b.String()
}

// Plain is canonical text without an exponent, as answers have it.
func Plain(number string) string {
	digits, exponent, ok := strings.Cut(number, "E")
	if !ok {
		return number
	}
	digits, negative := strings.CutPrefix(digits, "-")
	e, err := strconv.Atoi(exponent)
	if err != nil || e > maxExponent || e < minExponent-maxDigits {
		return number // not canonical
	}
	return plainNumber(negative, digits, e+len(digits))
}

func writeZeros(b *strings.Builder, n int) {
	for range n {
		b.WriteByte('0')
	}
}

// CompareNumbers orders two canonical texts by their value.
func CompareNumbers(a, b string) int {
	negA, negB := strings.HasPrefix(a, "-"), strings.HasPrefix(b, "-")
	switch {
	case negA && negB:
		return comparePositive(b[1:], a[1:])
	case negA:
		return -1
	case negB:
		return 1
	}
	return comparePositive(a, b)
}

func comparePositive(a, b string) int {
	_, digitsA, exponentA := normalized(a)
	_, digitsB, exponentB := normalized(b)
	switch {
	case digitsA == "" || digitsB == "": // one is zero
		return len(digitsA) - len(digitsB)
	case exponentA != exponentB:
		return exponentA - exponentB
	}
	return strings.Compare(digitsA, digitsB)
}

// exact adds with more digits than any sum of two numbers in range can have, so that nothing is rounded silently.
var exact = apd.Context{Precision: 400, MaxExponent: 1000, MinExponent: -1000, Rounding: apd.RoundHalfUp}

// Add is a + b for canonical texts.
func Add(a, b string) (string, error) { return arithmetic(a, b, false) }

// Subtract is a - b for canonical texts.
func Subtract(a, b string) (string, error) { return arithmetic(a, b, true) }

func arithmetic(a, b string, subtract bool) (string, error) {
	if isPlainInteger(a) && isPlainInteger(b) {
		x, _ := strconv.ParseInt(a, 10, 64)
		y, _ := strconv.ParseInt(b, 10, 64)
		if subtract {
			y = -y
		}
		return strconv.FormatInt(x+y, 10), nil
	}
	x, _, err := apd.NewFromString(a)
	if err != nil {
		return "", &NotNumberError{a}
	}
	y, _, err := apd.NewFromString(b)
	if err != nil {
		return "", &NotNumberError{b}
	}
	operation := exact.Add
	if subtract {
		operation = exact.Sub
	}
	if _, err := operation(x, x, y); err != nil {
		return "", ErrOverflow
	}
	return ParseNumber(x.Text('f'))
}

// normalized splits canonical text into its significant digits and the exponent of the first of them in scientific
// notation. Zero has no digits.
func normalized(number string) (negative bool, digits string, exponent int) {
	if number == "0" || number == "" {
		return false, "", 0
	}
	negative, digits, exponent, _ = scanNumber(number)
	return negative, strings.TrimRight(digits, "0"), exponent - 1
}
