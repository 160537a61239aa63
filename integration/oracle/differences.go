package oracle

import (
	"slices"
	"strings"
)

// difference is one way in which DynamoDB Local answers otherwise than localstream, and than the service.
type difference struct {
	name string
	// is tells whether the answers to a request differ so.
	is func(req request, theirs, ours answer) bool
}

// listed is the difference that explains these answers, nil if none does.
func listed(req request, theirs, ours answer) *difference {
	for i := range differences {
		if differences[i].is(req, theirs, ours) {
			return &differences[i]
		}
	}
	return nil
}

// differences are all that are known. docs/localstream-tables.md tells of each why it is one.
var differences = []difference{
	{"a transaction's writes that do not fit their items are cancellation reasons", func(req request, theirs, ours answer) bool {
		return ours.kind == "TransactionCanceledException" && hasReason(ours, "ValidationError") &&
			(theirs.kind == "ValidationException" || theirs.kind == ours.kind)
	}},
	{"names of tables are checked in transactions", func(req request, theirs, ours answer) bool {
		return strings.HasPrefix(req.operation, "Transact") && ours.kind == "ValidationException" && strings.Contains(ours.message, "'tableName'")
	}},
	{"what is wrong with a request itself comes before its table is missed", func(req request, theirs, ours answer) bool {
		return theirs.kind == "ResourceNotFoundException" && ours.kind == "ValidationException"
	}},
	{"what is wrong with an expression comes before what is wrong with a key", func(req request, theirs, ours answer) bool {
		return theirs.kind == "TransactionCanceledException" && ours.kind == "ValidationException" &&
			(strings.HasPrefix(ours.message, "Invalid ") || strings.Contains(ours.message, "in expressions"))
	}},
	{"a scan of a global index filters by what the index has", func(req request, theirs, ours answer) bool {
		x := indexNamed(req.input["IndexName"])
		return req.operation == "Scan" && x != nil && x.projection["ProjectionType"] == "KEYS_ONLY" && ours.kind == "" && theirs.kind == "" &&
			(req.input["ScanFilter"] != nil || req.input["FilterExpression"] != nil)
	}},
	{"each table of a batch has its own style of parameters", func(req request, theirs, ours answer) bool {
		return req.operation == "BatchGetItem" && strings.HasPrefix(theirs.message, "Can not use both expression and non-expression")
	}},
	{"AttributeUpdates that only delete make no item", func(req request, theirs, ours answer) bool {
		return makesNothing(req) && ours.kind == "" && theirs.kind == "" && len(ours.body) == 0
	}},
	{"AttributeUpdates that cannot be are refused before the condition is tested", func(req request, theirs, ours answer) bool {
		return req.input["AttributeUpdates"] != nil && ours.kind == "ValidationException" && theirs.kind == "ConditionalCheckFailedException"
	}},
	{"an update of the key is refused before the condition is tested", func(req request, theirs, ours answer) bool {
		return ours.kind == "ValidationException" && theirs.kind == "ConditionalCheckFailedException" && strings.Contains(ours.message, "This attribute is part of the key")
	}},
	{"one item twice in a transaction is refused before conditions are tested", func(req request, theirs, ours answer) bool {
		return theirs.kind == "TransactionCanceledException" && strings.Contains(ours.message, "multiple operations on one item")
	}},
	{"a transaction's update that does not fit its item is refused", func(req request, theirs, ours answer) bool {
		return req.operation == "TransactWriteItems" && ours.kind == "TransactionCanceledException" && hasReason(ours, "ValidationError") && theirs.kind == ""
	}},
	{"what is wrong with a request itself comes before what is wrong with a key", func(req request, theirs, ours answer) bool {
		return theirs.kind == "TransactionCanceledException" && ours.kind == "ValidationException" &&
			strings.HasPrefix(ours.message, "ExpressionAttribute")
	}},
	{"a table that is missed comes before a path that is not there", func(req request, theirs, ours answer) bool {
		return ours.kind == "ResourceNotFoundException" &&
			(strings.Contains(theirs.message, "document path") || strings.Contains(theirs.message, "attribute that does not exist in the item"))
	}},
	{"a table that is missed comes before an empty key in a batch", func(req request, theirs, ours answer) bool {
		return ours.kind == "ResourceNotFoundException" && strings.Contains(theirs.message, "has one or more empty keys")
	}},
	{"an update cannot give an index key another type", func(req request, theirs, ours answer) bool {
		return req.operation == "UpdateItem" && ours.kind == "ValidationException" && theirs.kind == "" &&
			(strings.Contains(ours.message, "Type mismatch for Index Key") || strings.Contains(ours.message, "for a secondary index key"))
	}},
	{"UPDATED_OLD and UPDATED_NEW answer the paths that were updated", func(req request, theirs, ours answer) bool {
		returned, _ := req.input["ReturnValues"].(string)
		return strings.HasPrefix(returned, "UPDATED_") && ours.kind == "" && theirs.kind == "" && within(ours.body, theirs.body)
	}},
	{"SIZE is a reserved word", func(req request, theirs, ours answer) bool {
		return ours.kind == "ValidationException" && strings.HasSuffix(ours.message, "reserved keyword: size")
	}},
	{"DynamoDB Local fails", func(req request, theirs, ours answer) bool {
		return theirs.kind == "InternalFailure" && ours.kind == "ValidationException"
	}},
}

func hasReason(a answer, code string) bool {
	list, _ := a.body["CancellationReasons"].([]any)
	for _, r := range list {
		if r.(object)["Code"] == code {
			return true
		}
	}
	return false
}

// makesNothing recognises an update that only deletes: where there is no item, there is none behind it either.
func makesNothing(req request) bool {
	all, ok := req.input["AttributeUpdates"].(object)
	for _, u := range all {
		if u.(object)["Action"] != "DELETE" {
			return false
		}
	}
	return ok
}

// within reports whether a is a part of b: some of its members, or elements of its lists.
func within(a, b any) bool {
	switch a := a.(type) {
	case object:
		b, ok := b.(object)
		for name, v := range a {
			if !ok || !within(v, b[name]) {
				return false
			}
		}
		return ok
	case []any:
		b, ok := b.([]any)
		for _, v := range a {
			if !ok || !slices.ContainsFunc(b, func(w any) bool { return within(v, w) }) {
				return false
			}
		}
		return ok
	}
	return a == b
}
