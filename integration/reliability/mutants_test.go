package main

import (
	"os"
	"strings"
	"testing"
)

func TestTheTableReplacesTheOneBefore(t *testing.T) {
	text := "above\n" + tableBegins + "old\n" + tableEnds + "below\n"
	got, err := withTable([]byte(text), []planted{
		{Fault: "renew-unchecked", Found: true, Seeds: []int{1, 3, 8}, Invariant: "I4"},
		{Fault: "no-release", Seeds: []int{200}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "above\n" + tableBegins + "| planted fault | seeds until it was found: median | least to most | found by |\n| --- | ---: | ---: | --- |\n" +
		"| `renew-unchecked` | 3 | 1 to 8 | I4 |\n| `no-release` | 200 | 200 to 200 | NOT FOUND |\n" + tableEnds + "below\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := withTable([]byte("above\n"), nil); err == nil || !strings.Contains(err.Error(), "has no lines") {
		t.Errorf("a document without a place for the table: %v", err)
	}
}

func TestTheDocumentHasAPlaceForTheTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := withTable(text, nil); err != nil {
		t.Error(err)
	}
}
