package kinesisstream

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"

	"github.com/aws/smithy-go/encoding/cbor"
)

// fromCBOR makes JSON of a request in CBOR 1.1.
func fromCBOR(body []byte) ([]byte, error) {
	v, err := cbor.Decode(body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(plain(v))
}

func plain(v cbor.Value) any {
	switch v := v.(type) {
	case cbor.Map:
		m := map[string]any{}
		for name, member := range v {
			m[name] = plain(member)
		}
		return m
	case cbor.List:
		var list []any
		for _, item := range v {
			list = append(list, plain(item))
		}
		return list
	case *cbor.Tag: // a timestamp
		return float64(v.Value.(cbor.Uint)) / 1000
	case cbor.Slice:
		return []byte(v)
	case cbor.String:
		return string(v)
	case cbor.Uint:
		return uint64(v)
	}
	panic(fmt.Sprintf("a request with %T", v))
}

// toCBOR makes CBOR 1.1 of an answer in JSON.
func toCBOR(text []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return cbor.Encode(shaped("", v)), nil
}

// shaped is the value of a member of that name.
func shaped(name string, v any) cbor.Value {
	switch v := v.(type) {
	case map[string]any:
		m := cbor.Map{}
		for name, member := range v {
			m[name] = shaped(name, member)
		}
		return m
	case []any:
		list := cbor.List{}
		for _, item := range v {
			list = append(list, shaped("", item))
		}
		return list
	case string:
		if name == "Data" {
			data, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				panic(err)
			}
			return cbor.Slice(data)
		}
		return cbor.String(v)
	case float64:
		if name == "ApproximateArrivalTimestamp" {
			return &cbor.Tag{ID: 1, Value: cbor.Uint(math.Round(v * 1000))}
		}
		if v < 0 {
			return cbor.NegInt(-v)
		}
		return cbor.Uint(v)
	}
	return &cbor.Nil{}
}
