package record

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Three records (alpha "one"; beta with explicit hash key 2^127 and no data, tagged; alpha "three"), written down by
// a program in another language.
const goldenAggregate = "f3899ac2" +
	"0a05616c706861" + "0a0462657461" +
	"1227313730313431313833343630343639323331373331363837333033373135383834313035373238" +
	"1a0708001a036f6e65" + "1a0e080110001a0022060a016b120176" + "1a0908001a057468726565" +
	"59eac2ffff02d534061a00dcc54dded2"

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seal makes an aggregate of a protobuf message.
func seal(message []byte) []byte {
	sum := md5.Sum(message)
	return slices.Concat([]byte("\xf3\x89\x9a\xc2"), message, sum[:])
}

// bytesField is a length-delimited field, numberField a varint field; numbers and lengths below 128 only.
func bytesField(num byte, value string) string {
	return string([]byte{num<<3 | 2, byte(len(value))}) + value
}
func numberField(num, value byte) string { return string([]byte{num << 3, value}) }

func outer(data []byte) Record {
	return Record{SequenceNumber: "495", PartitionKey: "a", Data: data, ArrivalTime: time.UnixMilli(1700000000123), EncryptionType: "KMS"}
}

func TestDeaggregateReadsTheGoldenAggregate(t *testing.T) {
	r := outer(unhex(t, goldenAggregate))
	subs, ok := Deaggregate(r)
	if !ok || len(subs) != 3 {
		t.Fatalf("Deaggregate = %d records, %v", len(subs), ok)
	}
	want := []struct{ key, hash, data, point string }{
		{"alpha", "", "one", "58606826522850340945736240254012750329"},
		{"beta", "170141183460469231731687303715884105728", "", "170141183460469231731687303715884105728"},
		{"alpha", "", "three", "58606826522850340945736240254012750329"},
	}
	for i, w := range want {
		s := subs[i]
		if s.PartitionKey != w.key || s.ExplicitHashKey != w.hash || string(s.Data) != w.data || s.HashKey().String() != w.point {
			t.Errorf("record %d = %q %q %q at %s", i, s.PartitionKey, s.ExplicitHashKey, s.Data, s.HashKey())
		}
		if s.SubSequenceNumber != uint64(i) || !s.Aggregated || s.SequenceNumber != r.SequenceNumber ||
			!s.ArrivalTime.Equal(r.ArrivalTime) || s.EncryptionType != r.EncryptionType {
			t.Errorf("record %d: %+v does not carry the outer record's values", i, s)
		}
	}
	if at := bytes.Index(r.Data, []byte("one")); &subs[0].Data[0] != &r.Data[at] || cap(subs[0].Data) != 3 {
		t.Error("Data does not alias the page, or reaches beyond its record")
	}
}

func TestDeaggregateRefusesWhatIsNoWholeAggregate(t *testing.T) {
	key, rec := bytesField(1, "k"), bytesField(3, numberField(1, 0)+bytesField(3, "d"))
	cases := []struct {
		name      string
		data      []byte
		aggregate bool // it looks like one
	}{
		{"no data", nil, false},
		{"ordinary text", []byte("an ordinary record that is longer than the magic and the checksum"), false},
		{"the magic alone", []byte(kplMagic), false},
		{"magic and checksum of nothing", seal(nil), false},
		{"a wrong checksum", append([]byte(kplMagic+key+rec), make([]byte, 16)...), true},
		{"no message", seal([]byte("\xff\xff\xff")), true},
		{"a truncated field", seal([]byte(key + rec[:len(rec)-1])), true},
		{"a length beyond the end", seal([]byte("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")), true},
		{"a key index beyond the table", seal([]byte(key + bytesField(3, numberField(1, 1)+bytesField(3, "d")))), true},
		{"a key index of 2^64-1", seal([]byte(key + bytesField(3, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"+bytesField(3, "d")))), true},
		{"a hash index beyond the table", seal([]byte(key + bytesField(3, numberField(1, 0)+numberField(2, 0)+bytesField(3, "d")))), true},
		{"a record without key index", seal([]byte(key + bytesField(3, bytesField(3, "d")))), true},
		{"a record without data", seal([]byte(key + bytesField(3, numberField(1, 0)))), true},
		{"one bad record among good ones", seal([]byte(key + rec + bytesField(3, "\x08") + rec)), true},
		{"a group that does not end", seal([]byte(key + rec + "\x2b")), true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if subs, ok := Deaggregate(outer(c.data)); ok || subs != nil {
				t.Errorf("Deaggregate = %+v, %v", subs, ok)
			}
			if got := IsAggregate(c.data); got != c.aggregate {
				t.Errorf("IsAggregate = %v", got)
			}
		})
	}
}

func TestDeaggregateBearsUnusualMessages(t *testing.T) {
	key, rec := bytesField(1, "k"), bytesField(3, numberField(1, 0)+bytesField(3, "d"))
	cases := []struct {
		name, message string
		want          int
	}{
		{"no records", key, 0},
		{"the tables behind the records", rec + rec + key, 2},
		{"unknown fields", key + numberField(9, 1) + rec + "\x4d1234" + "\x2b\x2c", 1},
		{"known numbers of other types", key + numberField(1, 5) + numberField(3, 5) + rec, 1},
		{"a field given twice", key + bytesField(3, numberField(1, 7)+bytesField(3, "x")+numberField(1, 0)+bytesField(3, "d")), 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			subs, ok := Deaggregate(outer(seal([]byte(c.message))))
			if !ok || len(subs) != c.want {
				t.Fatalf("Deaggregate = %d records, %v, want %d", len(subs), ok, c.want)
			}
			for _, s := range subs {
				if s.PartitionKey != "k" || string(s.Data) != "d" {
					t.Errorf("record %+v", s)
				}
			}
		})
	}
}

func TestDamageAtAnyByteMakesAnOrdinaryRecord(t *testing.T) {
	golden := unhex(t, goldenAggregate)
	for i := range golden {
		for _, change := range []byte{1, 0x80, 0xff, golden[i]} {
			data := slices.Clone(golden)
			data[i] ^= change
			if data[i] == golden[i] {
				continue
			}
			if _, ok := Deaggregate(outer(data)); ok {
				t.Errorf("byte %d changed by %#x: still taken as an aggregate", i, change)
			}
		}
		if _, ok := Deaggregate(outer(golden[:i])); ok {
			t.Errorf("cut to %d bytes: still taken as an aggregate", i)
		}
	}
}

func TestDamageBelowAGoodChecksumIsJudgedAsProtobufDoes(t *testing.T) {
	golden := unhex(t, goldenAggregate)
	message := golden[4 : len(golden)-16]
	for i := range message {
		for value := range 256 {
			damaged := slices.Clone(message)
			damaged[i] = byte(value)
			compareWithProtobuf(t, damaged)
		}
		compareWithProtobuf(t, message[:i])
	}
}

func FuzzDeaggregate(f *testing.F) {
	golden := unhex(f, goldenAggregate)
	f.Add(golden[4 : len(golden)-16])
	f.Add([]byte(bytesField(1, "") + bytesField(3, numberField(1, 0)+bytesField(3, ""))))
	f.Add([]byte("\x2b\x2c"))
	f.Fuzz(func(t *testing.T, message []byte) {
		Deaggregate(outer(message)) // as it stands: must only not panic
		compareWithProtobuf(t, message)
	})
}

// compareWithProtobuf seals message and checks what Deaggregate makes of it against the protobuf library.
func compareWithProtobuf(t *testing.T, message []byte) {
	t.Helper()
	want, wantOK := deaggregateSlowly(message)
	subs, ok := Deaggregate(outer(seal(message)))
	if ok != wantOK {
		t.Fatalf("message %x: ok = %v, protobuf says %v", message, ok, wantOK)
	}
	var got []string
	for i, s := range subs {
		if s.SubSequenceNumber != uint64(i) {
			t.Fatalf("message %x: record %d is numbered %d", message, i, s.SubSequenceNumber)
		}
		got = append(got, fmt.Sprintf("%q %q %q", s.PartitionKey, s.ExplicitHashKey, s.Data))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("message %x:\n got %s\nwant %s", message, got, want)
	}
}

// deaggregateSlowly reads the message by a descriptor of the format.
func deaggregateSlowly(message []byte) (records []string, ok bool) {
	m := dynamicpb.NewMessage(aggregatedRecord)
	if len(message) == 0 || proto.Unmarshal(message, m) != nil {
		return nil, false
	}
	keys, hashes := m.Get(aggregatedRecord.Fields().ByNumber(1)).List(), m.Get(aggregatedRecord.Fields().ByNumber(2)).List()
	list := m.Get(aggregatedRecord.Fields().ByNumber(3)).List()
	for i := range list.Len() {
		r := list.Get(i).Message()
		fields := r.Descriptor().Fields()
		key, hash := r.Get(fields.ByNumber(1)).Uint(), ""
		if key >= uint64(keys.Len()) {
			return nil, false
		}
		if r.Has(fields.ByNumber(2)) {
			index := r.Get(fields.ByNumber(2)).Uint()
			if index >= uint64(hashes.Len()) {
				return nil, false
			}
			hash = hashes.Get(int(index)).String()
		}
		records = append(records, fmt.Sprintf("%q %q %q", keys.Get(int(key)).String(), hash, r.Get(fields.ByNumber(3)).Bytes()))
	}
	return records, true
}

var aggregatedRecord = func() protoreflect.MessageDescriptor {
	field := func(name string, num int32, label descriptorpb.FieldDescriptorProto_Label, typ descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: &name, Number: &num, Label: &label, Type: &typ}
	}
	const (
		optional, required, repeated = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_REQUIRED, descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		str, number, data, message   = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_UINT64, descriptorpb.FieldDescriptorProto_TYPE_BYTES, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	)
	records := field("records", 3, repeated, message)
	records.TypeName = proto.String(".Rec")
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("kpl.proto"), Syntax: proto.String("proto2"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Agg"), Field: []*descriptorpb.FieldDescriptorProto{field("keys", 1, repeated, str), field("hashes", 2, repeated, str), records}},
			{Name: proto.String("Rec"), Field: []*descriptorpb.FieldDescriptorProto{field("key", 1, required, number), field("hash", 2, optional, number), field("data", 3, required, data)}},
		},
	}, nil)
	if err != nil {
		panic(err)
	}
	return file.Messages().ByName("Agg")
}()

func TestDeaggregateAllocatesPerAggregateNotPerRecord(t *testing.T) {
	message := bytesField(1, "first key") + bytesField(1, "second key") + bytesField(2, "1") +
		strings.Repeat(bytesField(3, numberField(1, 1)+numberField(2, 0)+bytesField(3, "some data")), 1000)
	r := outer(seal([]byte(message)))
	allocs := testing.AllocsPerRun(20, func() {
		if subs, ok := Deaggregate(r); !ok || len(subs) != 1000 {
			t.Fatal("not read")
		}
	})
	if allocs > 3 {
		t.Errorf("%v allocations for 1000 sub-records, want the slice, the table and its text", allocs)
	}
}
