package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/shoal-stream/shoal/internal/plainbody"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// A goDriver calls aws-sdk-go-v2 in this process, over the network.
type goDriver struct {
	clients map[string]reflect.Value
}

// newGoDriver makes clients as the SDK has them, but for its way of dropping a connection now and then while an answer is
// read (see plainbody): calls are repeated then, and a subscription is not.
func newGoDriver(url string) *goDriver {
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("localstream", "localstream", ""),
		HTTPClient: plainbody.Wrap(awshttp.NewBuildableClient()),
	}
	return &goDriver{map[string]reflect.Value{
		"kinesis":  reflect.ValueOf(kinesis.NewFromConfig(cfg)),
		"dynamodb": reflect.ValueOf(dynamodb.NewFromConfig(cfg)),
	}}
}

func (d *goDriver) close() error { return nil }

func (d *goDriver) call(ctx context.Context, r request) (reply, error) {
	method := d.clients[r.Service].MethodByName(r.Op)
	if !method.IsValid() {
		return reply{Unknown: "operation " + r.Op}, nil
	}
	records, subscribing := r.Input["$records"].(float64)
	delete(r.Input, "$records")
	in := reflect.New(method.Type().In(1).Elem())
	if err := assign(in.Elem(), r.Input); err != nil {
		return reply{}, fmt.Errorf("%s: %w", r.Op, err)
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	if err, _ := results[1].Interface().(error); err != nil {
		return failure(err), nil
	}
	if subscribing {
		return subscription(results[0].Interface().(*kinesis.SubscribeToShardOutput), int(records)), nil
	}
	output, _ := plain(results[0].Elem())
	meta := results[0].Elem().FieldByName("ResultMetadata").Interface().(middleware.Metadata)
	id, _ := awsmiddleware.GetRequestIDMetadata(meta)
	return reply{Output: output.(map[string]any), RequestID: id}, nil
}

// failure is an error as the SDK's caller sees it.
func failure(err error) reply {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return reply{Broken: err.Error()}
	}
	out := reply{Error: &apiError{Type: e.ErrorCode(), Message: e.ErrorMessage(), Members: map[string]any{}}}
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		out.RequestID = response.ServiceRequestID()
	}
	if v := reflect.ValueOf(e); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if members, ok := plain(v.Elem()); ok {
			out.Error.Members = members.(map[string]any)
			for _, own := range []string{"Message", "ErrorCodeOverride", "Code", "Fault"} {
				delete(out.Error.Members, own)
			}
		}
	}
	return out
}

// subscription reads events until they hold so many records, or end.
func subscription(out *kinesis.SubscribeToShardOutput, records int) reply {
	stream := out.GetStream()
	defer stream.Close()
	id, _ := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	events := []any{}
	for event := range stream.Events() {
		if e, ok := event.(*kinesistypes.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
			value, _ := plain(reflect.ValueOf(e.Value))
			events = append(events, value)
			if records -= len(e.Value.Records); records <= 0 && len(e.Value.ChildShards) == 0 {
				break
			}
		}
	}
	if err := stream.Err(); err != nil {
		return failure(err)
	}
	return reply{Output: map[string]any{"Events": events}, RequestID: id}
}

var (
	timeType  = reflect.TypeFor[time.Time]()
	bytesType = reflect.TypeFor[[]byte]()
	metadata  = reflect.TypeFor[middleware.Metadata]()
)

// unions are DynamoDB's values by the name of their member.
var unions = map[string]reflect.Type{
	"S": reflect.TypeFor[types.AttributeValueMemberS](), "N": reflect.TypeFor[types.AttributeValueMemberN](),
	"B": reflect.TypeFor[types.AttributeValueMemberB](), "BOOL": reflect.TypeFor[types.AttributeValueMemberBOOL](),
	"NULL": reflect.TypeFor[types.AttributeValueMemberNULL](), "M": reflect.TypeFor[types.AttributeValueMemberM](),
	"L": reflect.TypeFor[types.AttributeValueMemberL](), "SS": reflect.TypeFor[types.AttributeValueMemberSS](),
	"NS": reflect.TypeFor[types.AttributeValueMemberNS](), "BS": reflect.TypeFor[types.AttributeValueMemberBS](),
}

// assign sets an SDK value from JSON's.
func assign(to reflect.Value, from any) error {
	members, _ := from.(map[string]any)
	switch {
	case to.Type() == timeType:
		ms, ok := members["$time"].(float64)
		if !ok {
			return fmt.Errorf("%v is no moment", from)
		}
		to.Set(reflect.ValueOf(time.UnixMilli(int64(ms))))
		return nil
	case to.Type() == bytesType:
		text, _ := members["$bytes"].(string)
		data, err := base64.StdEncoding.DecodeString(text)
		to.SetBytes(data)
		return err
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return assign(to.Elem(), from)
	case reflect.Interface:
		for name, value := range members {
			member := reflect.New(unions[name])
			to.Set(member)
			return assign(member.Elem().FieldByName("Value"), value)
		}
	case reflect.Struct:
		for name, value := range members {
			f := to.FieldByName(name)
			if !f.IsValid() {
				return fmt.Errorf("%s has no member %s", to.Type(), name)
			}
			if err := assign(f, value); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		to.Set(reflect.MakeMap(to.Type()))
		for name, value := range members {
			v := reflect.New(to.Type().Elem()).Elem()
			if err := assign(v, value); err != nil {
				return err
			}
			to.SetMapIndex(reflect.ValueOf(name), v)
		}
		return nil
	case reflect.Slice:
		items, _ := from.([]any)
		to.Set(reflect.MakeSlice(to.Type(), len(items), len(items)))
		for i, item := range items {
			if err := assign(to.Index(i), item); err != nil {
				return err
			}
		}
		return nil
	}
	v := reflect.ValueOf(from)
	if !v.IsValid() || !v.CanConvert(to.Type()) {
		return fmt.Errorf("%v is no %s", from, to.Type())
	}
	to.Set(v.Convert(to.Type()))
	return nil
}

// plain is an SDK value as JSON has it; false for a member that is not there.
func plain(v reflect.Value) (any, bool) {
	switch v.Type() {
	case timeType:
		return map[string]any{"$time": float64(v.Interface().(time.Time).UnixMilli())}, true
	case bytesType:
		return map[string]any{"$bytes": base64.StdEncoding.EncodeToString(v.Bytes())}, !v.IsNil()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, false
		}
		for name, union := range unions {
			if v.Elem().Type() == reflect.PointerTo(union) {
				value, _ := plain(v.Elem().Elem().FieldByName("Value"))
				return map[string]any{name: value}, true
			}
		}
		return plain(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || f.Type == metadata {
				continue
			}
			if value, ok := plain(v.Field(i)); ok {
				out[f.Name] = value
			}
		}
		return out, true
	case reflect.Map:
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			out[key.String()], _ = plain(v.MapIndex(key))
		}
		return out, !v.IsNil()
	case reflect.Slice:
		out := []any{}
		for i := range v.Len() {
			item, _ := plain(v.Index(i))
			out = append(out, item)
		}
		return out, !v.IsNil()
	case reflect.String:
		return v.String(), v.Type() == reflect.TypeFor[string]() || v.Len() > 0
	case reflect.Bool:
		return v.Bool(), true
	default:
		return v.Convert(reflect.TypeFor[float64]()).Float(), true
	}
}
