package tables_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

type (
	value = types.AttributeValue
	item  = map[string]types.AttributeValue
)

func str(s string) value { return &types.AttributeValueMemberS{Value: s} }

func num(s string) value { return &types.AttributeValueMemberN{Value: s} }

func list(vs ...value) value { return &types.AttributeValueMemberL{Value: vs} }

func doc(m item) value { return &types.AttributeValueMemberM{Value: m} }

func strs(s ...string) value { return &types.AttributeValueMemberSS{Value: s} }

// roundTripper calls a handler in this process.
type roundTripper struct{ handler http.Handler }

func (rt roundTripper) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.Host = "localhost"
	rt.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// server is a service over a store, with a real SDK client.
type server struct {
	*dynamodb.Client
	store   *storage.Store
	service *tables.Service
}

func open(t testing.TB, fs vfs.FS, o tables.Options) *server {
	t.Helper()
	store, err := storage.Open("data", storage.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	service, err := tables.New(store, o)
	if err != nil {
		t.Fatal(err)
	}
	handler := wire.NewHandler(wire.Options{Clock: o.Clock}, service.Wire())
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://localhost"), HTTPClient: roundTripper{handler},
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), Retryer: aws.NopRetryer{},
	})
	return &server{client, store, service}
}

func (s *server) close(t testing.TB) {
	t.Helper()
	s.service.Close()
	if err := s.store.Close(); err != nil {
		t.Error(err)
	}
}

// start is a server on an empty file system, closed at the end of the test.
func start(t testing.TB) *server {
	t.Helper()
	s := open(t, vfs.NewMem(), tables.Options{})
	t.Cleanup(func() { s.close(t) })
	return s
}

// simple is a table with a partition key of strings.
func simple(name, key string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS}},
	}
}

// sorted is a table with a partition key p of strings and a sort key s of the given type.
func sorted(name string, kind types.ScalarAttributeType) *dynamodb.CreateTableInput {
	in := simple(name, "p")
	in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: aws.String("s"), KeyType: types.KeyTypeRange})
	in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String("s"), AttributeType: kind})
	return in
}

func (s *server) create(t testing.TB, in *dynamodb.CreateTableInput) {
	t.Helper()
	if _, err := s.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func (s *server) put(t testing.TB, table string, it item) {
	t.Helper()
	if _, err := s.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: it}); err != nil {
		t.Fatal(err)
	}
}

func (s *server) get(t testing.TB, table string, key item) item {
	t.Helper()
	out, err := s.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

// wantError fails the test unless err is of that type with that message.
func wantError(t testing.TB, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || api.ErrorMessage() != message {
		t.Errorf("error is %v; want %s: %s", err, code, message)
	}
}

const validation = "ValidationException"

var ctx = context.Background()

func wantItem(t testing.TB, got, want item) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("item is %s, want %s", show(got), show(want))
	}
}

func show(it item) string {
	text := "{"
	for _, name := range slices.Sorted(maps.Keys(it)) {
		text += name + ": " + showValue(it[name]) + " "
	}
	return text + "}"
}

func showValue(v value) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return strconv.Quote(v.Value)
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return fmt.Sprint(v)
}

// settled waits until the table and all its indexes are ACTIVE.
func (s *server) settled(t testing.TB, table string) {
	t.Helper()
	for {
		out, err := s.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &table})
		if err != nil {
			t.Fatal(err)
		}
		if out.Table.TableStatus == types.TableStatusActive {
			return
		}
		runtime.Gosched()
	}
}
