package tables

import (
	"errors"
	"fmt"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// qualify gives an error type the namespace that DynamoDB's replies have.
func qualify(kind string) string {
	switch kind {
	case "ValidationException":
		return "com.amazon.coral.validate#" + kind
	case "SerializationException", "UnknownOperationException", "InvalidSignatureException", "IncompleteSignatureException",
		"MissingAuthenticationTokenException", "AccessDeniedException":
		return "com.amazon.coral.service#" + kind
	}
	return "com.amazonaws.dynamodb.v20120810#" + kind
}

const parameterProblem = "One or more parameter values were invalid: "

func invalid(format string, args ...any) error {
	return wire.Errorf("ValidationException", format, args...)
}

// asInvalid turns what the packages below complain of into a ValidationException; other errors stay as they are.
func asInvalid(prefix string, err error) error {
	var complaint *expr.Error
	if errors.As(err, &complaint) {
		return invalid("%s%s", prefix, complaint.Message)
	}
	return err
}

func notFound(format string, args ...any) error {
	return wire.Errorf("ResourceNotFoundException", format, args...)
}

func inUse(format string, args ...any) error {
	return wire.Errorf("ResourceInUseException", format, args...)
}

// errNoTable is the answer to item operations on a table that is not there.
func errNoTable() error { return notFound("Requested resource not found") }

// conditionFailed carries the item if the caller asked for it and there is one.
func conditionFailed(item attr.Item) error {
	err := wire.Errorf("ConditionalCheckFailedException", "The conditional request failed")
	if item != nil {
		err.Members = map[string]any{"Item": itemJSON(item)}
	}
	return err
}

// constraint words a violated constraint as the model's own checks do.
func constraint(value, path, format string, args ...any) error {
	return invalid("1 validation error detected: Value %s at '%s' failed to satisfy constraint: %s", value, path, fmt.Sprintf(format, args...))
}
