package tables_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// raw sends a request as it stands and gives the status and body of the answer.
func (s *server) raw(t testing.TB, operation, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://localhost/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=b")
	w := httptest.NewRecorder()
	wire.NewHandler(wire.Options{}, s.service.Wire()).ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result().StatusCode, string(text)
}

func TestErrorsInTheirWireForm(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "k"))
	s.put(t, "t-1", item{"k": str("a")})
	tests := []struct{ operation, body, want string }{
		{"GetItem", `{"TableName":"none","Key":{"k":{"S":"a"}}}`, `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}`},
		{"GetItem", `{"TableName":"t-1","Key":{"k":{"N":"1"}}}`, `{"__type":"com.amazon.coral.validate#ValidationException","message":"The provided key element does not match the schema"}`},
		{"PutItem", `{"TableName":"t-1","Item":{"k":{"S":"a"}},"ConditionExpression":"attribute_not_exists(k)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`,
			`{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed","Item":{"k":{"S":"a"}}}`},
		{"GetItem", `{"TableName":"t-1","Key":{"k":{"S":"a"}}}`, `{"Item":{"k":{"S":"a"}}}`},
		{"GetItem", `{"TableName":"t-1","Key":{"k":{"S":"b"}}}`, `{}`},
		{"PutItem", `{"TableName":"t-1","Item":{"k":{"S":"a"},"x":{"M":{}},"l":{"L":[]}},"ReturnConsumedCapacity":"TOTAL"}`, `{"ConsumedCapacity":{"TableName":"t-1","CapacityUnits":1}}`},
		{"GetItem", `{"TableName":"t-1","Key":{"k":{"S":"a"}}}`, `{"Item":{"k":{"S":"a"},"l":{"L":[]},"x":{"M":{}}}}`},
		{"Scan", `{"Limit":0}`, `{"__type":"com.amazon.coral.validate#ValidationException","message":"2 validation errors detected: ` +
			`Value null at 'tableName' failed to satisfy constraint: Member must not be null; Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"}`},
		{"Scan", `{"TableName":"t-1","ProjectionExpression":"k"}`, `{"Count":1,"ScannedCount":1,"Items":[{"k":{"S":"a"}}]}`},
		{"Scan", `{"TableName":"t-1","Select":"COUNT","Limit":1}`, `{"Count":1,"ScannedCount":1,"LastEvaluatedKey":{"k":{"S":"a"}}}`},
	}
	for _, test := range tests {
		if _, got := s.raw(t, test.operation, test.body); got != test.want {
			t.Errorf("%s %s gives\n%s, want\n%s", test.operation, test.body, got, test.want)
		}
	}
	for body, want := range map[string]string{
		`{"TableName":"t-1","Key":{"k":{"S":5}}}`:                            "NUMBER_VALUE cannot be converted to String",
		`{"TableName":"t-1","Key":{"k":"a"}}`:                                "Unexpected value type in payload",
		`{"TableName":"t-1","Key":[]}`:                                       "Unrecognized collection type",
		`{"TableName":"t-1","Key":{"k":{"B":"a"}}}`:                          "Base64 encoded length is expected a multiple of 4 bytes but found: 1",
		`{"TableName":"t-1","Key":{"k":{"S":"a"}}`:                           "SerializationException",
		`{"TableName":"t-1","Key":{"k":{"S":"a"}},"ProjectionExpression":1}`: "SerializationException",
	} {
		if status, got := s.raw(t, "GetItem", body); status != 400 || !strings.HasPrefix(got, `{"__type":"com.amazon.coral.service#SerializationException"`) || !strings.Contains(got, want) {
			t.Errorf("%s gives %d %s", body, status, got)
		}
	}
}

func TestRefusedItems(t *testing.T) {
	s := start(t)
	s.create(t, sorted("t-1", "B"))
	table := aws.String("t-1")
	bin := func(n int) value { return &types.AttributeValueMemberB{Value: make([]byte, n)} }
	long := func(n int) value { return str(strings.Repeat("k", n)) }
	nested := func(n int) value {
		v := str("x")
		for range n {
			v = list(v)
		}
		return v
	}
	puts := []struct {
		it   item
		want string
	}{
		{item{"p": str("a")}, "One or more parameter values were invalid: Missing the key s in the item"},
		{item{"p": num("1"), "s": bin(1)}, "One or more parameter values were invalid: Type mismatch for key p expected: S actual: N"},
		{item{"p": str(""), "s": bin(1)}, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: p"},
		{item{"p": str("a"), "s": bin(0)}, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty binary value. Key: s"},
		{item{"p": long(2049), "s": bin(1)}, "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"},
		{item{"p": str("a"), "s": bin(1025)}, "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes"},
		{item{"p": str("a"), "s": bin(1), "x": long(400 << 10)}, "Item size has exceeded the maximum allowed size"},
		{item{"p": str("a"), "s": bin(1), "x": nested(33)}, "Nesting Levels have exceeded supported limits"},
		{item{"p": str("a"), "s": bin(1), "x": strs()}, "One or more parameter values were invalid: An string set  may not be empty"},
		{item{"p": str("a"), "s": bin(1), "x": strs("b", "b")}, "One or more parameter values were invalid: Input collection [b, b] contains duplicates."},
		{item{"p": str("a"), "s": bin(1), "x": num("1e400")}, "Number overflow. Attempting to store a number with magnitude larger than supported range"},
		{item{"p": str("a"), "s": bin(1), "x": &types.AttributeValueMemberNULL{Value: false}}, "One or more parameter values were invalid: Null attribute value types must have the value of true"},
		{item{"p": long(2048), "s": bin(1024), "x": str(""), "y": nested(32)}, ""},
		{item{"p": str("a"), "s": bin(1), "x": long(400<<10 - 5)}, ""},
	}
	for i, test := range puts {
		_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: test.it})
		if test.want != "" {
			wantError(t, err, validation, test.want)
		} else if err != nil {
			t.Errorf("item %d: %v", i, err)
		}
	}
	_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: item{"p": str("a"), "s": bin(1)}, UpdateExpression: aws.String("SET y = x"),
		ReturnValues: types.ReturnValueUpdatedNew})
	wantError(t, err, validation, "Item size to update has exceeded the maximum allowed size")
	for key, want := range map[*item]string{
		{"p": str("a")}:                                "The provided key element does not match the schema",
		{"p": str("a"), "s": str("x")}:                 "The provided key element does not match the schema",
		{"p": str("a"), "s": bin(1), "x": str("x")}:    "The provided key element does not match the schema",
		{"p": str(""), "s": bin(1)}:                    "One or more parameter values were invalid: The AttributeValue for a key attribute cannot contain an empty string value. Key: p",
		{"p": str("a"), "s": strs("a", "b", "a", "b")}: "One or more parameter values were invalid: Input collection [a, b, a, b] contains duplicates.",
	} {
		_, err := s.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: *key})
		wantError(t, err, validation, want)
	}
	update := func(u string) error {
		_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: item{"p": str("a"), "s": bin(1)}, UpdateExpression: &u,
			ExpressionAttributeValues: item{":v": num("1")}})
		return err
	}
	s.put(t, "t-1", item{"p": str("deep"), "s": bin(1), "x": nested(20), "y": nested(20)})
	_, err = s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: item{"p": str("deep"), "s": bin(1)},
		UpdateExpression: aws.String("SET x" + strings.Repeat("[0]", 19) + " = y")})
	wantError(t, err, validation, "Nesting Levels have exceeded supported limits")
	wantError(t, update("SET p = :v"), validation, "One or more parameter values were invalid: Cannot update attribute p. This attribute is part of the key")
	wantError(t, update("SET s.x = :v"), validation, "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: s")
	wantError(t, update("SET gone.x = :v"), validation, "The document path provided in the update expression is invalid for update")
}

func TestRefusedQueriesAndScans(t *testing.T) {
	s := start(t)
	s.create(t, sorted("t-1", "N"))
	s.addIndex(t, "t-1", "by-g", false, &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly})
	s.settled(t, "t-1")
	values := item{":p": str("a"), ":n": num("1"), ":m": num("2")}
	query := func(key string, more func(*dynamodb.QueryInput)) error {
		in := &dynamodb.QueryInput{TableName: aws.String("t-1"), KeyConditionExpression: &key, ExpressionAttributeValues: item{}}
		for name, v := range values {
			if strings.Contains(key, name) {
				in.ExpressionAttributeValues[name] = v
			}
		}
		if more != nil {
			more(in)
		}
		_, err := s.Query(ctx, in)
		return err
	}
	for _, test := range []struct {
		key  string
		more func(*dynamodb.QueryInput)
		want string
	}{
		{"s = :n", nil, "Query condition missed key schema element: p"},
		{"p > :p", nil, "Query key condition not supported"},
		{"p = :n", nil, "One or more parameter values were invalid: Condition parameter type does not match schema type"},
		{"p = :p AND x = :n", nil, "Query condition missed key schema element: s"},
		{"p = :p OR s = :n", nil, "Invalid operator used in KeyConditionExpression: OR"},
		{":p = ", nil, `Invalid KeyConditionExpression: Syntax error; token: "<EOF>", near: "="`},
		{"p = :p", func(in *dynamodb.QueryInput) { in.IndexName = aws.String("none") }, "The table does not have the specified index: none"},
		{"g = :p AND s = :n", func(in *dynamodb.QueryInput) { in.IndexName = aws.String("by-g") }, "Query key condition not supported"},
		{"g = :p", func(in *dynamodb.QueryInput) { in.IndexName, in.ConsistentRead = aws.String("by-g"), aws.Bool(true) }, "Consistent reads are not supported on global secondary indexes"},
		{"g = :p", func(in *dynamodb.QueryInput) { in.IndexName, in.Select = aws.String("by-g"), types.SelectAllAttributes },
			"One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index by-g because its projection type is not ALL"},
		{"p = :p", func(in *dynamodb.QueryInput) { in.FilterExpression = aws.String("s <> :p") }, "Filter Expression can only contain non-primary key attributes: Primary key attribute: s"},
		{"p = :p", func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(0) }, "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"p = :p", func(in *dynamodb.QueryInput) { in.ExclusiveStartKey = item{"p": str("a")} }, "The provided starting key is invalid: The provided key element does not match the schema"},
		{"p = :p", func(in *dynamodb.QueryInput) { in.ExclusiveStartKey = item{"p": str("b"), "s": num("1")} }, "The provided starting key is outside query boundaries based on provided conditions"},
		{"p = :p AND s > :n", func(in *dynamodb.QueryInput) { in.ExclusiveStartKey = item{"p": str("a"), "s": num("0")} }, "The provided starting key does not match the range key predicate"},
		{"p = :p", func(in *dynamodb.QueryInput) { in.KeyConditionExpression, in.ExpressionAttributeValues = nil, nil }, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."},
	} {
		wantError(t, query(test.key, test.more), validation, test.want)
	}
	for want, in := range map[string]dynamodb.ScanInput{
		"The TotalSegments parameter is required but was not present in the request when Segment parameter is present":                                       {Segment: aws.Int32(0)},
		"The Segment parameter is required but was not present in the request when parameter TotalSegments is present":                                       {TotalSegments: aws.Int32(1)},
		"The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2":                    {Segment: aws.Int32(2), TotalSegments: aws.Int32(2)},
		"1 validation error detected: Value '1000001' at 'totalSegments' failed to satisfy constraint: Member must have value less than or equal to 1000000": {Segment: aws.Int32(2), TotalSegments: aws.Int32(1000001)},
		"The provided starting key is invalid: The provided key element does not match the schema":                                                           {ExclusiveStartKey: item{"p": str("a")}},
		"Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES":                                                  {Select: types.SelectSpecificAttributes},
		"Invalid FilterExpression: The expression can not be empty;":                                                                                         {FilterExpression: aws.String("")},
	} {
		in.TableName = aws.String("t-1")
		_, err := s.Scan(ctx, &in)
		wantError(t, err, validation, want)
	}
}

func TestRefusedTables(t *testing.T) {
	s := start(t)
	key := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: &name, KeyType: kind}
	}
	index := func(name string, keys ...types.KeySchemaElement) []types.GlobalSecondaryIndex {
		return []types.GlobalSecondaryIndex{{IndexName: &name, KeySchema: keys, Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll}}}
	}
	tests := []struct {
		change func(in *dynamodb.CreateTableInput)
		want   string
	}{
		{func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("ab") }, "TableName must be at least 3 characters long and at most 255 characters long"},
		{func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("a/b/c") }, "1 validation error detected: Value 'a/b/c' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		{func(in *dynamodb.CreateTableInput) { in.BillingMode = types.BillingModeProvisioned }, "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		{func(in *dynamodb.CreateTableInput) { in.BillingMode = "" }, "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		{func(in *dynamodb.CreateTableInput) { in.BillingMode = "FREE" }, "1 validation error detected: Value 'FREE' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"},
		{func(in *dynamodb.CreateTableInput) {
			in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(1), WriteCapacityUnits: aws.Int64(1)}
		}, "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"},
		{func(in *dynamodb.CreateTableInput) { in.KeySchema = []types.KeySchemaElement{key("x", "HASH")} }, "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [x], AttributeDefinitions: [p, s]"},
		{func(in *dynamodb.CreateTableInput) {
			in.KeySchema = []types.KeySchemaElement{key("p", "HASH"), key("p", "RANGE")}
		}, "Both the Hash Key and the Range Key element in the KeySchema have the same name"},
		{func(in *dynamodb.CreateTableInput) { in.KeySchema[0].KeyType = "RANGE" }, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"},
		{func(in *dynamodb.CreateTableInput) { in.KeySchema[1].KeyType = "HASH" }, "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"},
		{func(in *dynamodb.CreateTableInput) { in.KeySchema = in.KeySchema[:1] }, "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"},
		{func(in *dynamodb.CreateTableInput) { in.GlobalSecondaryIndexes = index("by-x", key("x", "HASH")) }, "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [x], AttributeDefinitions: [p, s]"},
		{func(in *dynamodb.CreateTableInput) { in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{} }, "One or more parameter values were invalid: List of GlobalSecondaryIndexes is empty"},
		{func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes = append(index("by-s", key("s", "HASH")), index("by-s", key("p", "HASH"))...)
		}, "One or more parameter values were invalid: Duplicate index name: by-s"},
		{func(in *dynamodb.CreateTableInput) {
			for i := range 21 {
				in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, index(fmt.Sprint("index-", i), key("s", "HASH"))...)
			}
		}, "One or more parameter values were invalid: GlobalSecondaryIndex count exceeds the per-table limit of 20"},
		{func(in *dynamodb.CreateTableInput) {
			in.LocalSecondaryIndexes = []types.LocalSecondaryIndex{{IndexName: aws.String("loc"), KeySchema: []types.KeySchemaElement{key("s", "HASH"), key("p", "RANGE")}, Projection: &types.Projection{ProjectionType: "ALL"}}}
		}, "One or more parameter values were invalid: Index KeySchema does not have the same leading hash key as table KeySchema for index: loc. index hash key: s, table hash key: p"},
		{func(in *dynamodb.CreateTableInput) {
			in.Tags = []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("")}}
		}, "One or more parameter values were invalid: Tag keys starting with aws: are reserved for system use"},
	}
	for _, test := range tests {
		in := sorted("t-1", "N")
		test.change(in)
		_, err := s.CreateTable(ctx, in)
		wantError(t, err, validation, test.want)
	}
	if out, err := s.ListTables(ctx, &dynamodb.ListTablesInput{}); err != nil || len(out.TableNames) != 0 {
		t.Errorf("refused tables are there: %v, %v", out.TableNames, err)
	}
}

func TestTablesChange(t *testing.T) {
	s := start(t)
	in := simple("t-1", "p")
	in.BillingMode, in.ProvisionedThroughput = types.BillingModeProvisioned, &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(10), WriteCapacityUnits: aws.Int64(10)}
	s.create(t, in)
	update := func(in dynamodb.UpdateTableInput) (*types.TableDescription, error) {
		in.TableName = aws.String("t-1")
		out, err := s.UpdateTable(ctx, &in)
		if err != nil {
			return nil, err
		}
		return out.TableDescription, nil
	}
	_, err := update(dynamodb.UpdateTableInput{})
	wantError(t, err, validation, "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	d, err := update(dynamodb.UpdateTableInput{ProvisionedThroughput: &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(5), WriteCapacityUnits: aws.Int64(20)}})
	if err != nil || *d.ProvisionedThroughput.ReadCapacityUnits != 5 || *d.ProvisionedThroughput.NumberOfDecreasesToday != 1 || d.ProvisionedThroughput.LastIncreaseDateTime == nil || d.BillingModeSummary != nil {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = update(dynamodb.UpdateTableInput{BillingMode: types.BillingModePayPerRequest})
	if err != nil || d.BillingModeSummary.BillingMode != types.BillingModePayPerRequest || *d.ProvisionedThroughput.ReadCapacityUnits != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = update(dynamodb.UpdateTableInput{BillingMode: types.BillingModeProvisioned})
	wantError(t, err, validation, "One or more parameter values were invalid: ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
	if d, err = update(dynamodb.UpdateTableInput{DeletionProtectionEnabled: aws.Bool(true)}); err != nil || !*d.DeletionProtectionEnabled {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err = update(dynamodb.UpdateTableInput{DeletionProtectionEnabled: aws.Bool(false)}); err != nil {
		t.Error(err)
	}

	s.addIndex(t, "t-1", "by-g", false, &types.Projection{ProjectionType: types.ProjectionTypeAll})
	s.settled(t, "t-1")
	s.put(t, "t-1", item{"p": str("a"), "g": str("b")})
	_, err = update(dynamodb.UpdateTableInput{GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{
		{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("none")}}}})
	wantError(t, err, "ResourceNotFoundException", "Requested resource not found: Index: none for table: t-1")
	d, err = update(dynamodb.UpdateTableInput{GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{
		{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("by-g")}}}})
	if err != nil || d.GlobalSecondaryIndexes[0].IndexStatus != types.IndexStatusDeleting {
		t.Errorf("%+v, %v", d, err)
	}
	s.settled(t, "t-1")
	out, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("t-1")})
	if err != nil || len(out.Table.GlobalSecondaryIndexes) != 0 || len(out.Table.AttributeDefinitions) != 1 {
		t.Errorf("%+v, %v", out.Table, err)
	}
	// A new index of the same name is filled anew, and an item of any type fits meanwhile.
	s.put(t, "t-1", item{"p": str("b"), "g": num("1")})
	s.addIndex(t, "t-1", "by-g", false, &types.Projection{ProjectionType: types.ProjectionTypeAll})
	s.settled(t, "t-1")
	if got := s.indexed(t, "t-1", "by-g"); len(got) != 1 {
		t.Errorf("index has %v", got)
	}
}

func TestTablesAreListedInPages(t *testing.T) {
	s := start(t)
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprint("table-", i))
		s.create(t, simple(want[i], "p"))
	}
	var got []string
	pages := 0
	for p := dynamodb.NewListTablesPaginator(s.Client, &dynamodb.ListTablesInput{Limit: aws.Int32(3)}); p.HasMorePages(); pages++ {
		out, err := p.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, out.TableNames...)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") || pages != 3 {
		t.Errorf("%v in %d pages", got, pages)
	}
}

func TestTags(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	arn := aws.String("arn:aws:dynamodb:us-east-1:000000000000:table/t-1")
	tags := func(pairs ...string) (list []types.Tag) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
		}
		return list
	}
	if _, err := s.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: arn, Tags: tags("a", "1", "b", "2")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: arn, Tags: tags("b", "3", "c", "4")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UntagResource(ctx, &dynamodb.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "x"}}); err != nil {
		t.Fatal(err)
	}
	out, err := s.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: arn})
	if err != nil || len(out.Tags) != 2 || *out.Tags[0].Key+*out.Tags[0].Value != "b3" || *out.Tags[1].Key+*out.Tags[1].Value != "c4" {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = s.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: aws.String("arn:aws:sqs:us-east-1:000000000000:q")})
	wantError(t, err, validation, "Invalid TableArn: Invalid ResourceArn provided as input arn:aws:sqs:us-east-1:000000000000:q")
	if it := s.get(t, *arn, item{"p": str("a")}); it != nil {
		t.Errorf("an ARN in place of the name finds %v", it)
	}
}
