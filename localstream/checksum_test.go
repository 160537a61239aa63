package localstream

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/logging"
)

// The SDK compares the checksum of each DynamoDB reply with its header, and warns of a reply that has none.
func TestTheSDKFindsNothingWrongWithTableReplies(t *testing.T) {
	srv, err := Open("", Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	web := httptest.NewServer(srv)
	defer web.Close()
	var warnings []string
	client := dynamodb.NewFromConfig(srv.AWSConfig(), func(o *dynamodb.Options) {
		o.BaseEndpoint, o.HTTPClient = aws.String(web.URL), web.Client()
		o.Logger = logging.LoggerFunc(func(_ logging.Classification, format string, args ...any) {
			warnings = append(warnings, fmt.Sprintf(format, args...))
		})
	})
	if _, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("none")}); err == nil {
		t.Fatal("a table that is not there was described")
	}
	if len(warnings) > 0 {
		t.Errorf("the SDK warns: %q", warnings)
	}
}
