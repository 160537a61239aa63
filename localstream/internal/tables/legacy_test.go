package tables_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func comparing(operator types.ComparisonOperator, vs ...value) types.ExpectedAttributeValue {
	return types.ExpectedAttributeValue{ComparisonOperator: operator, AttributeValueList: vs}
}

func TestExpected(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "k"))
	s.put(t, "t-1", item{"k": str("a"), "n": num("5"), "s": str("hello"), "set": strs("x", "y"), "l": list(str("e"))})
	tests := []struct {
		name     string
		e        expected
		operator types.ConditionalOperator
		message  string // "" if it holds, failed if it does not, else the complaint
	}{
		{"value", expected{"n": equals(num("5.0"))}, "", ""},
		{"other value", expected{"n": equals(num("6"))}, "", failed},
		{"value of another type", expected{"n": equals(str("5"))}, "", failed},
		{"value of an absent attribute", expected{"gone": equals(num("5"))}, "", failed},
		{"set in another order", expected{"set": equals(strs("y", "x"))}, "", ""},
		{"list", expected{"l": equals(list(str("e")))}, "", ""},
		{"exists and value", expected{"n": {Exists: aws.Bool(true), Value: num("5")}}, "", ""},
		{"absent", expected{"gone": absent()}, "", ""},
		{"absent but there", expected{"n": absent()}, "", failed},
		{"two of which one fails", expected{"n": equals(num("5")), "s": equals(str("x"))}, "", failed},
		{"two of which one fails, or", expected{"n": equals(num("5")), "s": equals(str("x"))}, "OR", ""},
		{"two that fail, or", expected{"n": equals(num("6")), "s": equals(str("x"))}, "OR", failed},
		{"two, and", expected{"n": equals(num("5")), "s": equals(str("hello"))}, "AND", ""},
		{"NE", expected{"n": comparing("NE", num("6"))}, "", ""},
		{"NE with value", expected{"n": {ComparisonOperator: "NE", Value: num("5")}}, "", failed},
		{"LT", expected{"n": comparing("LT", num("5"))}, "", failed},
		{"LE", expected{"n": comparing("LE", num("5"))}, "", ""},
		{"GE", expected{"n": comparing("GE", num("5"))}, "", ""},
		{"GT", expected{"n": comparing("GT", num("4.99"))}, "", ""},
		{"NULL", expected{"gone": comparing("NULL")}, "", ""},
		{"NOT_NULL", expected{"gone": comparing("NOT_NULL")}, "", failed},
		{"CONTAINS in a text", expected{"s": comparing("CONTAINS", str("ell"))}, "", ""},
		{"CONTAINS in a set", expected{"set": comparing("CONTAINS", str("x"))}, "", ""},
		{"NOT_CONTAINS", expected{"set": comparing("NOT_CONTAINS", str("x"))}, "", failed},
		{"BEGINS_WITH", expected{"s": comparing("BEGINS_WITH", str("hel"))}, "", ""},
		{"IN", expected{"n": comparing("IN", num("4"), num("5"))}, "", ""},
		{"BETWEEN", expected{"n": comparing("BETWEEN", num("5"), num("6"))}, "", ""},
		{"BETWEEN outside", expected{"n": comparing("BETWEEN", num("6"), num("7"))}, "", failed},

		{"nothing", expected{"n": {}}, "", "One or more parameter values were invalid: Value must be provided when Exists is null for Attribute: n"},
		{"exists without value", expected{"n": {Exists: aws.Bool(true)}}, "", "One or more parameter values were invalid: Value must be provided when Exists is true for Attribute: n"},
		{"absent with value", expected{"n": {Exists: aws.Bool(false), Value: num("1")}}, "", "One or more parameter values were invalid: Value cannot be used when Exists is false for Attribute: n"},
		{"list without operator", expected{"n": {AttributeValueList: []value{num("1")}}}, "", "One or more parameter values were invalid: AttributeValueList can only be used with a ComparisonOperator for Attribute: n"},
		{"list and value", expected{"n": {ComparisonOperator: "EQ", AttributeValueList: []value{num("1")}, Value: num("1")}}, "", "One or more parameter values were invalid: Value and AttributeValueList cannot be used together for Attribute: n"},
		{"exists and operator", expected{"n": {ComparisonOperator: "EQ", Exists: aws.Bool(true), Value: num("1")}}, "", "One or more parameter values were invalid: Exists and ComparisonOperator cannot be used together for Attribute: n"},
		{"operator without value", expected{"n": {ComparisonOperator: "EQ"}}, "", "One or more parameter values were invalid: Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: n"},
		{"too few values", expected{"n": comparing("BETWEEN", num("1"))}, "", "One or more parameter values were invalid: Invalid number of argument(s) for the BETWEEN ComparisonOperator"},
		{"bounds the wrong way round", expected{"n": comparing("BETWEEN", num("2"), num("1"))}, "", "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"},
		{"mixed types", expected{"n": comparing("IN", num("2"), str("1"))}, "", "One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type"},
		{"wrong type", expected{"n": comparing("LT", strs("2"))}, "", "One or more parameter values were invalid: ComparisonOperator LT is not valid for SS AttributeValue type"},
		{"bad number", expected{"n": equals(num("x"))}, "", "The parameter cannot be converted to a numeric value: x"},
		{"unknown operator", expected{"n": comparing("LIKE", num("1"))}, "", "1 validation error detected: Value 'LIKE' at 'expected.n.member.comparisonOperator' failed to satisfy constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]"},
		{"operator for nothing", nil, "OR", "ConditionalOperator cannot be used without Filter or Expected"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("t-1"), Key: item{"k": str("a")}, Expected: test.e,
				ConditionalOperator: test.operator, AttributeUpdates: updates{"touched": putting(num("1"))}})
			switch test.message {
			case "":
				if err != nil {
					t.Error(err)
				}
			case failed:
				wantError(t, err, failed, "The conditional request failed")
			default:
				wantError(t, err, validation, test.message)
			}
		})
	}
}

func TestAttributeUpdates(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "k"))
	full := item{"k": str("a"), "n": num("5"), "set": strs("x", "y"), "l": list(str("e"))}
	const mismatch = "Type mismatch for attribute to update"
	tests := []struct {
		name    string
		key     string
		u       updates
		want    item // nil: no item
		message string
	}{
		{"put", "a", updates{"n": putting(str("new"))}, item{"k": str("a"), "n": str("new"), "set": strs("x", "y"), "l": list(str("e"))}, ""},
		{"put is the default", "a", updates{"n": {Value: num("7")}}, item{"k": str("a"), "n": num("7"), "set": strs("x", "y"), "l": list(str("e"))}, ""},
		{"add", "a", updates{"n": adding(num("-6.5")), "set": adding(strs("z")), "l": adding(list(num("1")))}, item{"k": str("a"), "n": num("-1.5"), "set": strs("x", "y", "z"), "l": list(str("e"), num("1"))}, ""},
		{"add to nothing", "new", updates{"n": adding(num("1")), "set": adding(strs("z"))}, item{"k": str("new"), "n": num("1"), "set": strs("z")}, ""},
		{"delete", "a", updates{"n": removing(), "gone": removing()}, item{"k": str("a"), "set": strs("x", "y"), "l": list(str("e"))}, ""},
		{"delete elements", "a", updates{"set": {Action: "DELETE", Value: strs("x", "q")}}, item{"k": str("a"), "n": num("5"), "set": strs("y"), "l": list(str("e"))}, ""},
		{"delete all elements", "a", updates{"set": {Action: "DELETE", Value: strs("x", "y")}}, item{"k": str("a"), "n": num("5"), "l": list(str("e"))}, ""},
		{"only delete where nothing is", "new", updates{"n": removing()}, nil, ""},
		{"no updates make an item", "new", nil, item{"k": str("new")}, ""},
		{"add a number to a set", "a", updates{"set": adding(num("1"))}, nil, mismatch},
		{"add a set to a number", "a", updates{"n": adding(strs("1"))}, nil, mismatch},
		{"delete numbers from texts", "a", updates{"set": {Action: "DELETE", Value: &types.AttributeValueMemberNS{Value: []string{"1"}}}}, nil, mismatch},
		{"put nothing", "a", updates{"n": {Action: "PUT"}}, nil, "One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified"},
		{"delete a number's value", "a", updates{"n": {Action: "DELETE", Value: num("5")}}, nil, "One or more parameter values were invalid: DELETE action with value is not supported for the type N"},
		{"add a text", "a", updates{"n": adding(str("5"))}, nil, "One or more parameter values were invalid: ADD action is not supported for the type S"},
		{"change the key", "a", updates{"k": putting(str("b"))}, nil, "One or more parameter values were invalid: Cannot update attribute k. This attribute is part of the key"},
		{"unknown action", "a", updates{"n": {Action: "MOVE", Value: num("1")}}, nil, "1 validation error detected: Value 'MOVE' at 'attributeUpdates.n.member.action' failed to satisfy constraint: Member must satisfy enum value set: [ADD, DELETE, PUT]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.put(t, "t-1", full)
			key := item{"k": str(test.key)}
			if _, err := s.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String("t-1"), Key: item{"k": str("new")}}); err != nil {
				t.Fatal(err)
			}
			_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("t-1"), Key: key, AttributeUpdates: test.u})
			if test.message != "" {
				wantError(t, err, validation, test.message)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantItem(t, s.get(t, "t-1", key), test.want)
		})
	}
}

func TestTheTwoStylesDoNotMix(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "k"))
	table, key := aws.String("t-1"), item{"k": str("a")}
	one := item{":v": num("1")}
	tests := []struct {
		name string
		call func() error
		want string
	}{
		{"UpdateItem", func() error {
			_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: key, Expected: expected{"a": absent()}, AttributeUpdates: updates{"a": putting(num("1"))},
				UpdateExpression: aws.String("SET a = :v"), ConditionExpression: aws.String("a = :v"), ExpressionAttributeValues: one})
			return err
		}, "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributeUpdates, Expected} Expression parameters: {UpdateExpression, ConditionExpression}"},
		{"PutItem", func() error {
			_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: key, Expected: expected{"a": absent()}, ConditionExpression: aws.String("a = :v"), ExpressionAttributeValues: one})
			return err
		}, "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}"},
		{"Query", func() error {
			_, err := s.Query(ctx, &dynamodb.QueryInput{TableName: table, KeyConditionExpression: aws.String("k = :v"), ExpressionAttributeValues: one,
				QueryFilter: map[string]types.Condition{"a": {ComparisonOperator: "NULL"}}})
			return err
		}, "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {QueryFilter} Expression parameters: {KeyConditionExpression}"},
		{"Scan", func() error {
			_, err := s.Scan(ctx, &dynamodb.ScanInput{TableName: table, AttributesToGet: []string{"a"}, FilterExpression: aws.String("k = :v"), ExpressionAttributeValues: one})
			return err
		}, "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributesToGet} Expression parameters: {FilterExpression}"},
		{"names without an expression", func() error {
			_, err := s.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key, ExpressionAttributeNames: map[string]string{"#a": "a"}})
			return err
		}, "ExpressionAttributeNames can only be specified when using expressions"},
		{"values without an expression", func() error {
			_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: key, ExpressionAttributeValues: one})
			return err
		}, "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null"},
		{"values without an expression in PutItem", func() error {
			_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: key, ExpressionAttributeValues: one})
			return err
		}, "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null"},
		{"unused across two expressions", func() error {
			_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: key, UpdateExpression: aws.String("SET a = :v"), ConditionExpression: aws.String("a <> :w"),
				ExpressionAttributeValues: item{":v": num("1"), ":w": num("1"), ":x": num("1")}})
			return err
		}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}"},
		{"a bad condition", func() error {
			_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: key, ConditionExpression: aws.String("a = ")})
			return err
		}, `Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="`},
		{"a bad update", func() error {
			_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: key, UpdateExpression: aws.String("SET status = :v"), ExpressionAttributeValues: one})
			return err
		}, "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: status"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { wantError(t, test.call(), validation, test.want) })
	}
}
