package tables

import (
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// checkKey refuses a Key that is not exactly the table's.
func (t *table) checkKey(key attr.Item) error {
	if problem := key.Problem(); problem != "" {
		return invalid("%s", problem)
	}
	if len(key) != len(t.Key) {
		return invalid("The provided key element does not match the schema")
	}
	for i, k := range t.Key {
		v := key[k.Name]
		if v.Kind != k.Kind {
			return invalid("The provided key element does not match the schema")
		}
		if err := checkKeyValue(k.Name, v, i == 0, parameterProblem); err != nil {
			return err
		}
	}
	return nil
}

// checkKeyValue refuses empty and oversized key values.
func checkKeyValue(name string, v attr.Value, partition bool, problem string) error {
	if v.Kind == attr.N {
		return nil
	}
	switch {
	case v.Str == "" && v.Kind == attr.S:
		return invalid("%sThe AttributeValue for a key attribute cannot contain an empty string value. Key: %s", problem, name)
	case v.Str == "":
		return invalid("%sThe AttributeValue for a key attribute cannot contain an empty binary value. Key: %s", problem, name)
	case partition && len(v.Str) > attr.MaxHashKey:
		return invalid(parameterProblem + "Size of hashkey has exceeded the maximum size limit of2048 bytes")
	case !partition && len(v.Str) > attr.MaxRangeKey:
		return invalid(parameterProblem + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
	}
	return nil
}

// checkItem refuses an item without a proper key, and one that the indexes cannot take.
func (t *table) checkItem(it attr.Item) error {
	for i, k := range t.Key {
		v, ok := it[k.Name]
		switch {
		case !ok:
			return invalid(parameterProblem+"Missing the key %s in the item", k.Name)
		case v.Kind != k.Kind:
			return invalid(parameterProblem+"Type mismatch for key %s expected: %v actual: %v", k.Name, k.Kind, v.Kind)
		}
		if err := checkKeyValue(k.Name, v, i == 0, "One or more parameter values are not valid. "); err != nil {
			return err
		}
	}
	return t.checkIndexKeys(it)
}

// checkIndexKeys refuses an item whose attributes do not fit the keys of the table's indexes.
func (t *table) checkIndexKeys(it attr.Item) error {
	for _, x := range t.Indexes {
		for i, k := range x.Key {
			v, ok := it[k.Name]
			switch {
			case !ok:
				continue
			case v.Kind != k.Kind:
				return invalid(parameterProblem+"Type mismatch for Index Key %s Expected: %v Actual: %v IndexName: %s", k.Name, k.Kind, v.Kind, x.Name)
			case v.Str == "":
				return invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. "+
					"The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s",
					map[attr.Kind]string{attr.S: "string", attr.B: "binary"}[k.Kind], x.Name, k.Name)
			}
			if err := checkKeyValue(k.Name, v, i == 0, ""); err != nil {
				return err
			}
		}
	}
	return nil
}
