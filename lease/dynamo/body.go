package dynamo

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The bodies of the calls that shortcuts make, in JSON.

// appendUpdate is the body of an UpdateItem that returns the row as written. It is nil if there is a value in u that it
// cannot say.
func appendUpdate(b []byte, table, key string, u *update, units bool) []byte {
	b = appendMember(append(b, '{'), "TableName", table)
	b = append(appendText(append(b, `,"Key":{`...), attrKey), `:{"S":`...)
	b = append(appendText(b, key), `}},`...)
	if e := u.expression(); e != nil {
		b = append(appendMember(b, "UpdateExpression", *e), ',')
	}
	b = append(appendMember(b, "ConditionExpression", *u.condition()), `,"ExpressionAttributeNames":{`...)
	for i, attr := range u.attrs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMember(b, "#"+attr, attr)
	}
	b = append(b, '}')
	for i, v := range u.values {
		if i == 0 {
			b = append(b, `,"ExpressionAttributeValues":{`...)
		} else {
			b = append(b, ',')
		}
		b = append(appendText(b, valueAlias(i)), ':')
		if b = appendValue(b, v); b == nil {
			return nil
		}
	}
	if len(u.values) > 0 {
		b = append(b, '}')
	}
	b = append(b, `,"ReturnValues":"ALL_NEW","ReturnValuesOnConditionCheckFailure":"ALL_OLD"`...)
	return appendEnd(b, units)
}

// appendGet is the body of a consistent GetItem.
func appendGet(b []byte, table, key string, units bool) []byte {
	b = appendMember(append(b, '{'), "TableName", table)
	b = append(appendText(append(b, `,"Key":{`...), attrKey), `:{"S":`...)
	b = append(appendText(b, key), `}},"ConsistentRead":true`...)
	return appendEnd(b, units)
}

// appendOwned is the body of a Query of the owner index for a worker, of the page that begins behind from. It is nil if
// from cannot be said.
func appendOwned(b []byte, table, worker string, from item, units bool) []byte {
	b = appendMember(append(b, '{'), "TableName", table)
	b = appendMember(append(b, ','), "IndexName", indexName)
	b = appendMember(append(b, ','), "KeyConditionExpression", ownedCondition)
	b = appendMember(append(b, `,"ExpressionAttributeNames":{`...), "#"+attrOwner, attrOwner)
	b = append(b, `},"ExpressionAttributeValues":{":owner":{"S":`...)
	b = append(appendText(b, worker), `}}`...)
	if len(from) > 0 {
		b = append(b, `,"ExclusiveStartKey":{`...)
		for i, attr := range slices.Sorted(maps.Keys(from)) {
			if i > 0 {
				b = append(b, ',')
			}
			if b = appendValue(append(appendText(b, attr), ':'), from[attr]); b == nil {
				return nil
			}
		}
		b = append(b, '}')
	}
	return appendEnd(b, units)
}

func appendEnd(b []byte, units bool) []byte {
	if units {
		b = append(b, `,"ReturnConsumedCapacity":"TOTAL"`...)
	}
	return append(b, '}')
}

func appendMember(b []byte, name, value string) []byte {
	return appendText(append(appendText(b, name), ':'), value)
}

// appendText appends a string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			quoted, _ := json.Marshal(s) // of a string it always succeeds
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendValue appends an attribute's value, and returns nil if it is of a kind that leases do not have.
func appendValue(b []byte, v types.AttributeValue) []byte {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		b = appendText(append(b, `{"S":`...), v.Value)
	case *types.AttributeValueMemberN:
		b = appendText(append(b, `{"N":`...), v.Value)
	case *types.AttributeValueMemberB:
		b = append(b, `{"B":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, v.Value), '"')
	case *types.AttributeValueMemberSS:
		b = append(b, `{"SS":[`...)
		for i, s := range v.Value {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, s)
		}
		b = append(b, ']')
	default:
		return nil
	}
	return append(b, '}')
}

// valueAlias is what the value of that index goes by in an expression.
func valueAlias(i int) string { return ":v" + strconv.Itoa(i) }
