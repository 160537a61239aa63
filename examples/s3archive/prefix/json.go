package prefix

import "github.com/itchyny/gojq"

// Marshal writes a result of a query as JSON, keys in order.
func Marshal(v any) ([]byte, error) { return gojq.Marshal(v) }
