package dynamo

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// deep copies a value out of the memory of a parser.
func deep(v types.AttributeValue) types.AttributeValue {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return text(strings.Clone(v.Value))
	case *types.AttributeValueMemberN:
		return &types.AttributeValueMemberN{Value: strings.Clone(v.Value)}
	case *types.AttributeValueMemberM:
		m := make(item)
		for name, e := range v.Value {
			m[name] = deep(e)
		}
		return &types.AttributeValueMemberM{Value: m}
	case *types.AttributeValueMemberL:
		l := &types.AttributeValueMemberL{Value: make([]types.AttributeValue, len(v.Value))}
		for i, e := range v.Value {
			l.Value[i] = deep(e)
		}
		return l
	}
	return v
}

func read(body string) (items []item, page dynamodb.ScanOutput, err error) {
	err = readPage(body, &page, func(it item) {
		kept := maps.Clone(it)
		for name, v := range kept {
			kept[name] = deep(v)
		}
		items = append(items, kept)
	})
	return items, page, err
}

func TestPagesOfAScanAreRead(t *testing.T) {
	n := func(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }
	for name, test := range map[string]struct {
		body  string
		items []item
		next  item
		units *float64
	}{
		"an empty page": {`{"Items":[],"Count":0}`, nil, nil, nil},
		"no items":      {`{"Count":0,"ScannedCount":12}`, nil, nil, nil},
		"spaces":        {" {\n \"Items\" : [ { \"a\" : { \"S\" : \"x\" } , \"b\":{\"N\":\"1\"} } , { } ]\t}\r\n", []item{{"a": text("x"), "b": n("1")}, {}}, nil, nil},
		"more to come":  {`{"LastEvaluatedKey":{"leaseKey":{"S":"k"}},"Items":[{"a":{"S":"x"}}]}`, []item{{"a": text("x")}}, item{"leaseKey": text("k")}, nil},
		"units": {`{"ConsumedCapacity":{"TableName":"t","CapacityUnits":12.5,"Table":{"CapacityUnits":3}},"Items":null}`[:0] +
			`{"ConsumedCapacity":{"TableName":"t","Table":{"CapacityUnits":3},"CapacityUnits":12.5}}`, nil, nil, aws.Float64(12.5)},
		"what is not known":       {`{"Future":{"a":[1,-2.5e3,true,null,"]}",{}]},"Items":[{"a":{"XX":{"b":1}}}]}`, []item{{"a": &types.UnknownUnionMember{Tag: "XX"}}}, nil, nil},
		"escapes":                 {`{"Items":[{"\u0061":{"S":"\"\\\/\n\u00e4\ud83d\ude00"}}]}`, []item{{"a": text("\"\\/\nä😀")}}, nil, nil},
		"an escape before an end": {`{"Items":[{"a":{"S":"\\"},"b":{"S":"\\\""}}]}`, []item{{"a": text("\\"), "b": text("\\\"")}}, nil, nil},
		"every type": {`{"Items":[{"s":{"S":"äöü"},"n":{"N":"-1.5"},"b":{"B":"AQL/"},"ss":{"SS":["a","b"]},"ns":{"NS":["1"]},"bs":{"BS":["AQ=="]},` +
			`"m":{"M":{"x":{"L":[{"N":"1"},{"S":"2"},{"M":{}}]}}},"t":{"BOOL":true},"f":{"BOOL":false},"z":{"NULL":true}}]}`,
			[]item{{
				"s": text("äöü"), "n": n("-1.5"), "b": &types.AttributeValueMemberB{Value: []byte{1, 2, 255}}, "ss": set([]string{"a", "b"}),
				"ns": &types.AttributeValueMemberNS{Value: []string{"1"}}, "bs": &types.AttributeValueMemberBS{Value: [][]byte{{1}}},
				"m": &types.AttributeValueMemberM{Value: item{"x": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("1"), text("2"),
					&types.AttributeValueMemberM{Value: item{}}}}}},
				"t": &types.AttributeValueMemberBOOL{Value: true}, "f": &types.AttributeValueMemberBOOL{}, "z": &types.AttributeValueMemberNULL{Value: true},
			}}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			items, page, err := read(test.body)
			if err != nil {
				t.Fatal(err)
			}
			if len(items) != len(test.items) {
				t.Fatalf("read %d items, want %d", len(items), len(test.items))
			}
			for i := range items {
				if !reflect.DeepEqual(items[i], test.items[i]) {
					t.Errorf("item %d is %#v, want %#v", i, items[i], test.items[i])
				}
			}
			if !reflect.DeepEqual(page.LastEvaluatedKey, map[string]types.AttributeValue(test.next)) {
				t.Errorf("the next key is %v, want %v", page.LastEvaluatedKey, test.next)
			}
			if (page.ConsumedCapacity == nil) != (test.units == nil) || test.units != nil && aws.ToFloat64(page.ConsumedCapacity.CapacityUnits) != *test.units {
				t.Errorf("the units are %+v", page.ConsumedCapacity)
			}
		})
	}
}

func TestBrokenPagesAreErrors(t *testing.T) {
	const whole = `{"Items":[{"a":{"S":"x\n"},"b":{"L":[{"N":"1"}]}},{"c":{"SS":["d"]}}],"LastEvaluatedKey":{"k":{"S":"v"}},"Count":2}`
	if _, _, err := read(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		if items, _, err := read(whole[:i]); err == nil {
			t.Errorf("the first %d bytes were read as %v", i, items)
		}
	}
	for _, body := range []string{
		whole + "x", `[]`, `{"Items":[{"a":{"B":"?"}}]}`, `{"Items":[{"a":{"S":"x","N":"1"}}]}`, `{"Items":[{"a":{}}]}`, `{"Items":[{"a":{"S":"\q"}}]}`,
		`{"Items":[{"a":{"S":1}}]}`, `{"Items":[{"a":{"S":"x"}} {"a":{"S":"x"}}]}`, `{"Items":{}}`, `{"ConsumedCapacity":{"CapacityUnits":"x"}}`,
	} {
		if items, _, err := read(body); err == nil {
			t.Errorf("%s was read as %v", body, items)
		}
	}
}

// A reader that meets anything gives an error or items that the decoders take without a panic.
func FuzzPage(f *testing.F) {
	f.Add(`{"Items":[{"leaseKey":{"S":"a"},"leaseCounter":{"N":"1"},"checkpoint":{"S":"LATEST"},"parentShardId":{"SS":["p"]}}]}`)
	f.Add(`{"Items":[{"leaseKey":{"S":"w"},"entityType":{"S":"WORKER_METRIC_STATS"},"lut":{"N":"1"},"sts":{"M":{"C":{"L":[{"N":"1"}]}}}}],"LastEvaluatedKey":{"k":{"S":"\u00e4"}}}`)
	f.Add(`{"Items":[{"a":{"B":"AQL/"}}],"ConsumedCapacity":{"CapacityUnits":1.5}} `)
	f.Fuzz(func(t *testing.T, body string) {
		v, n := view{leases: true, members: true}, 0
		err := readPage(body, &dynamodb.ScanOutput{}, func(it item) { n++; v.add(it) })
		if seen := len(v.rows) + len(v.workers) + len(v.damaged); seen > n {
			t.Errorf("%d items made %d things", n, seen)
		}
		_ = fmt.Sprint(err)
	})
}
