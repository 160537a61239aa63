package tables_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream/internal/tables"
)

// TestAPowerCutLosesNoAcknowledgedWriteAndTearsNoItemFromItsIndexes is guarantee G8 for tables: writers count up their
// items, which move about in an index, while the power fails.
func TestAPowerCutLosesNoAcknowledgedWriteAndTearsNoItemFromItsIndexes(t *testing.T) {
	const writers, cuts = 4, 12
	for cut := range cuts {
		fs := vfs.NewCrashableMem()
		s := open(t, fs, tables.Options{})
		s.create(t, simple("t-1", "p"))
		s.addIndex(t, "t-1", "by-g", false, &types.Projection{ProjectionType: types.ProjectionTypeAll})
		s.settled(t, "t-1")
		var acknowledged [writers]atomic.Int64
		var after vfs.FS
		var before [writers]int64
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for n := int64(1); n <= 60; n++ {
					values := item{":one": num("1"), ":g": str(fmt.Sprint("g", n%3)), ":old": num(fmt.Sprint(n - 1))}
					update := "ADD n :one SET g = :g"
					if n%5 == 0 {
						update = "ADD n :one REMOVE g"
						delete(values, ":g")
					}
					_, err := s.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: aws.String("t-1"), Key: item{"p": str(fmt.Sprint(w))},
						UpdateExpression: &update, ConditionExpression: aws.String("attribute_not_exists(n) OR n = :old"), ExpressionAttributeValues: values})
					if err != nil {
						t.Error(err)
						return
					}
					acknowledged[w].Store(n)
					if w == 0 && n == int64(5+cut*4) {
						for i := range before {
							before[i] = acknowledged[i].Load()
						}
						after = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 10 * (cut % 10), RNG: rand.New(rand.NewPCG(uint64(cut), 1))})
					}
				}
			})
		}
		all.Wait()
		s.close(t)
		s = open(t, after, tables.Options{})
		want := map[string]item{}
		for w := range writers {
			it := s.get(t, "t-1", item{"p": str(fmt.Sprint(w))})
			n := int64(0)
			if v, ok := it["n"].(*types.AttributeValueMemberN); ok {
				n, _ = strconv.ParseInt(v.Value, 10, 64)
			}
			if n < before[w] {
				t.Errorf("cut %d: writer %d had %d acknowledged, has %d", cut, w, before[w], n)
			}
			if it["g"] != nil {
				want[fmt.Sprint(w)] = it
			}
		}
		got := s.indexed(t, "t-1", "by-g")
		for name := range want {
			wantItem(t, got[name], want[name])
		}
		if len(got) != len(want) {
			t.Errorf("cut %d: index has %d items, want %d", cut, len(got), len(want))
		}
		s.close(t)
	}
}
