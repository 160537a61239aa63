// Package processes tests fleets of real processes. Its data serve other tests and examples, too.
package processes

import (
	"bufio"
	"compress/gzip"
	_ "embed"
	"fmt"
	"strings"
)

//go:embed flights-20k.ndjson.gz
var flights string

// Flights are 20,000 U.S. flights of 2001 as reported to the Bureau of Transportation Statistics, one JSON object each
// with date, delay, distance, origin and destination; public data, from the vega-datasets npm package 3.2.1.
func Flights() ([]string, error) {
	text, err := gzip.NewReader(strings.NewReader(flights))
	if err != nil {
		return nil, fmt.Errorf("read the flights: %w", err)
	}
	var lines []string
	scan := bufio.NewScanner(text)
	for scan.Scan() {
		lines = append(lines, scan.Text())
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("read the flights: %w", err)
	}
	return lines, nil
}
