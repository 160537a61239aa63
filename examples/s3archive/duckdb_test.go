//go:build duckdb

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The reader that did not come with our writer.
const duckdb = "duckdb==2.0.0"

const totals = `import duckdb, json, sys
duckdb.sql("SET TimeZone='UTC'")
row = duckdb.sql(f"""SELECT count(*), sum(delay), sum(distance), count(DISTINCT origin), count(DISTINCT seq),
	count(*) FILTER (delay IS NULL), min(date)::VARCHAR, max(date)::VARCHAR, typeof(any_value(date)), typeof(any_value(delay))
	FROM read_parquet('{sys.argv[1]}/*.parquet')""").fetchall()[0]
print(json.dumps([str(v) for v in row]))`

// TestDuckDBReadsTheSameFromParquet archives 5,000 flights and compares DuckDB's counts and sums with the input's.
func TestDuckDBReadsTheSameFromParquet(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	venv := filepath.Join(cache, "shoal-s3", "duckdb")
	python := filepath.Join(venv, "bin", "python")
	run := func(name string, args ...string) []byte {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return out
	}
	if exec.Command(python, "-c", "import duckdb").Run() != nil {
		run("python3", "-m", "venv", venv)
		run(python, "-m", "pip", "install", "-q", duckdb)
	}
	for _, compression := range []string{"none", "gzip", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			input := flights(t, 5000)
			p := newPlace(t)
			p.put(input...)
			c := p.connect(p.settings(func(s *settings) {
				s.format, s.compression = "parquet", compression
				s.columns = "date:timestamp!, delay:int64, distance:double, origin:string, seq:string=$sequence!"
				s.maxRecords = 700
			}))
			p.archive(c)
			dir := t.TempDir()
			for _, key := range p.keys(c, "records/2") {
				if err := os.WriteFile(filepath.Join(dir, path.Base(key)), []byte(p.get(c, key)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			if err := json.Unmarshal(run(python, "-c", totals, dir), &got); err != nil {
				t.Fatal(err)
			}
			if want := summary(t, input); !slices.Equal(got, want) {
				t.Errorf("DuckDB says %q, want %q", got, want)
			}
		})
	}
}

// summary is what the query has to say about the input.
func summary(t *testing.T, input []string) []string {
	t.Helper()
	delay, distance, nulls := 0, 0.0, 0
	origins := map[string]bool{}
	var dates []string
	for _, line := range input {
		var f struct {
			Date, Origin string
			Delay        *int
			Distance     float64
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		if f.Delay == nil {
			nulls++
		} else {
			delay += *f.Delay
		}
		distance += f.Distance
		origins[f.Origin] = true
		dates = append(dates, strings.ReplaceAll(f.Date, "/", "-")+":00+00")
	}
	return []string{
		fmt.Sprint(len(input)), fmt.Sprint(delay), fmt.Sprintf("%.1f", distance), fmt.Sprint(len(origins)), fmt.Sprint(len(input)),
		fmt.Sprint(nulls), slices.Min(dates), slices.Max(dates), "TIMESTAMP WITH TIME ZONE", "BIGINT",
	}
}
