package main

import (
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	answer := obj{"Name": "quakes", "Count": 3.0, "At": obj{"$time": float64(time.Now().UnixMilli())}, "Data": obj{"$bytes": "YWJj"}, "List": []any{"a", "b"}, "Deep": obj{"N": 1.0}}
	with1 := func(name string, want any) obj {
		return join(obj{"Name": "quakes", "Count": 3, "At": matcher(recent), "Data": data("abc"), "List": list{"a", "b"}, "Deep": obj{"N": 1}}, obj{name: want})
	}
	for name, test := range map[string]struct {
		want any
		ok   bool
	}{
		"all as wanted":         {with1("Name", "quakes"), true},
		"another text":          {with1("Name", "other"), false},
		"another number":        {with1("Count", 4), false},
		"a number as text":      {with1("Count", "3"), false},
		"a range":               {with1("Count", number(3, 3)), true},
		"outside a range":       {with1("Count", number(4, 9)), false},
		"a member too few":      {with1("More", "x"), false},
		"an optional member":    {with1("More", may("x")), true},
		"an optional one wrong": {with1("Name", may("x")), false},
		"a member too many":     {with1("Deep", obj{}), false},
		"some members":          {with(obj{"Count": 3}), true},
		"some wrong members":    {with(obj{"Count": 4}), false},
		"no member":             {with1("Name", matcher(absent)), false},
		"other bytes":           {with1("Data", data("abd")), false},
		"another order":         {with1("List", list{"b", "a"}), false},
		"any order":             {with1("List", unordered("b", "a")), true},
		"any order, twice":      {with1("List", unordered("a", "a")), false},
		"a shorter list":        {with1("List", list{"a"}), false},
		"each":                  {with1("List", each(2, text("[ab]"))), true},
		"each, too few":         {with1("List", each(3, text("[ab]"))), false},
		"a pattern":             {with1("Name", text("q.*s")), true},
		"a part of a pattern":   {with1("Name", text("quake")), false},
		"a kept value":          {with1("Name", ref("kept")), true},
		"nothing kept":          {with1("Name", ref("unknown")), false},
	} {
		t.Run(name, func(t *testing.T) {
			vars := obj{"$start": time.Now(), "kept": "quakes"}
			if err := match(vars, test.want, answer, true); (err == nil) != test.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestRecentTakesEachForm(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		at any
		ok bool
	}{
		"milliseconds":            {obj{"$time": float64(now.UnixMilli())}, true},
		"seconds as milliseconds": {obj{"$time": float64(now.Unix())}, false},
		"the CLI's seconds":       {float64(now.UnixMilli()) / 1000, true},
		"the CLI's milliseconds":  {float64(now.UnixMilli()), false},
		"text":                    {now.Format(time.RFC3339Nano), true},
		"an hour ago":             {obj{"$time": float64(now.Add(-time.Hour).UnixMilli())}, false},
		"no moment":               {"yesterday", false},
	} {
		if err := recent(obj{"$start": now}, test.at, true); (err == nil) != test.ok {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestFaultsChangeWhatTheySayAndKeepTheLength(t *testing.T) {
	cbor := "\xbfoSequenceNumberx89496804815404143135519502043606226714307995353058514042901"
	for name, test := range map[string]struct{ op, body, want string }{
		"sequence-number": {"GetRecords", cbor, cbor[:len(cbor)-1] + "2"},
		"arrival-time":    {"GetRecords", "ApproximateArrivalTimestamp\xc1\x1b\x00\x00\x00\x00\x00\x00\x03\xe8", "ApproximateArrivalTimestamp\xc1\x1b\x00\x00\x00\x00\x00\x00\x00\x01"},
		"error-text":      {"GetItem", "not found", "not fount"},
		"child-shards":    {"GetRecords", "kChildShards", "kChildSherds"},
		"data":            {"GetRecords", "magnitude 4", "magnituda 4"},
	} {
		if got := string(faults[name].reply(test.op, []byte(test.body))); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if got := string(faults["arrival-time"].reply("GetRecords", []byte(`{"ApproximateArrivalTimestamp":1795411508.347,"x":1}`))); got != `{"ApproximateArrivalTimestamp":1795411508347,"x":1}` {
		t.Errorf("got %s", got)
	}
	if got := string(faults["conditions"].request("PutItem", []byte(`{"ConditionExpression":"a","TableName":"t"}`))); got != `{"TableName":"t"}` {
		t.Errorf("got %s", got)
	}
}
