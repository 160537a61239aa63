package tables

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

func TestReadingRequestsTakesMemoryInProportion(t *testing.T) {
	repeat := func(open, element, end string, n int) string {
		return open + strings.Repeat(element+",", n) + element + end
	}
	keys := repeat(`{"Keys":[`, `{"p":{"S":""}}`, `]}`, 99)
	var tables strings.Builder
	for i := range 100 {
		fmt.Fprintf(&tables, `"t%d":%s,`, i, keys)
	}
	var writes strings.Builder
	for i := range 100 {
		fmt.Fprintf(&writes, `"t%d":%s,`, i, repeat(`[`, `{"PutRequest":{"Item":{"p":{"S":""}}}}`, `]`, 99))
	}
	var names strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&names, `"#%d":"",`, i)
	}
	for operation, bodies := range map[string][]string{
		"BatchGetItem":       {`{"RequestItems":{` + tables.String() + `"t":{}}}`},
		"BatchWriteItem":     {`{"RequestItems":{` + writes.String() + `"t":[]}}`},
		"TransactWriteItems": {repeat(`{"TransactItems":[`, `{"Put":{"Item":{}}}`, `]}`, 50_000), repeat(`{"TransactItems":[`, `{}`, `]}`, 50_000)},
		"TransactGetItems":   {repeat(`{"TransactItems":[`, `{"Get":{"Key":{}}}`, `]}`, 50_000)},
		"UpdateItem":         {`{"ExpressionAttributeNames":{` + names.String() + `"#":""}}`},
		"Query":              {repeat(`{"AttributesToGet":[`, `""`, `]}`, 100_000), repeat(`{"KeyConditions":{"p":{"AttributeValueList":[`, `{}`, `]}}}`, 100_000)},
		"CreateTable":        {repeat(`{"GlobalSecondaryIndexes":[`, `{"KeySchema":[{}]}`, `]}`, 50_000), repeat(`{"AttributeDefinitions":[`, `{}`, `]}`, 100_000)},
		"TagResource":        {repeat(`{"Tags":[`, `{}`, `]}`, 100_000)},
	} {
		for _, op := range new(Service).Wire().Operations {
			if op.Name != operation {
				continue
			}
			for i, body := range bodies {
				text, in := []byte(body), op.New()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_ = wire.Decode(text, in)
				runtime.ReadMemStats(&after)
				if used, bound := after.TotalAlloc-before.TotalAlloc, 4*uint64(len(body))+1<<20; used > bound {
					t.Errorf("%s %d: %d bytes of input took %d bytes of memory, want at most %d", operation, i, len(body), used, bound)
				}
			}
		}
	}
}
