package record

import (
	"slices"
	"testing"
	"time"
)

func TestPositionsOrderAsJavaKCLOrdersThem(t *testing.T) {
	ordered := []Position{
		{},
		AtTimestamp(time.UnixMilli(5)),
		AtTimestamp(time.UnixMilli(6)),
		TrimHorizon,
		Latest,
		At("9", 0),
		At("9", 3),
		At("10", 0),
		At("10", 1),
		ShardEnd,
	}
	for i, p := range ordered {
		for j, q := range ordered {
			if got, want := p.Compare(q), min(1, max(-1, i-j)); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", p, q, got, want)
			}
			if (p == q) != (i == j) {
				t.Errorf("%v == %v is %v", p, q, p == q)
			}
		}
	}
}

func TestPositionsSurviveBeingStored(t *testing.T) {
	for _, p := range []Position{TrimHorizon, Latest, ShardEnd, At("0", 0), At("495", 7), At("495", 1<<63)} {
		if err := p.Validate(); err != nil {
			t.Errorf("%v: %v", p, err)
		}
		back, err := ParsePosition(p.Sentinel(), p.Sub())
		if err != nil || back != p {
			t.Errorf("%v came back as %v, %v", p, back, err)
		}
	}
	back, err := ParsePosition(AtTimestamp(time.UnixMilli(5)).Sentinel(), 0)
	if err != nil || back.Kind() != KindAtTimestamp {
		t.Errorf("AT_TIMESTAMP came back as %v, %v", back, err)
	}
	for _, text := range []string{"", "latest", "12x", "007", "SHARD_END "} {
		if p, err := ParsePosition(text, 0); err == nil {
			t.Errorf("ParsePosition(%q) = %v, want an error", text, p)
		}
	}
}

func TestPositionsTellWhatTheyAre(t *testing.T) {
	moment := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)
	var got []string
	for _, p := range []Position{{}, AtTimestamp(moment), TrimHorizon, Latest, At("495", 0), At("495", 7), ShardEnd} {
		got = append(got, p.String())
	}
	want := []string{"none", "AT_TIMESTAMP(2024-05-06T07:08:09.123Z)", "TRIM_HORIZON", "LATEST", "495", "495/7", "SHARD_END"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if !(Position{}).IsZero() || TrimHorizon.IsZero() || (Position{}).Validate() == nil || At("x", 0).Validate() == nil {
		t.Error("the zero position or a malformed one passes for a position")
	}
	if p := AtTimestamp(moment); !p.Time().Equal(moment.Truncate(time.Millisecond)) || !Latest.Time().IsZero() {
		t.Errorf("Time = %v", p.Time())
	}
	r := Record{SequenceNumber: "495", SubSequenceNumber: 7}
	if r.Position() != At("495", 7) {
		t.Errorf("Position = %v", r.Position())
	}
}
