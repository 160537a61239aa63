package oracle

// A request is one operation with its input.
type request struct {
	operation string
	input     object
}

// request makes the next request.
func (g *generator) request() request {
	g.tokens.tick()
	t := g.anyTable()
	input := object{"TableName": g.tableName(t)}
	switch n := g.IntN(100); {
	case n < 20:
		return request{"PutItem", g.put(t, input)}
	case n < 46:
		return request{"UpdateItem", g.update(t, input)}
	case n < 53:
		return request{"DeleteItem", g.delete(t, input)}
	case n < 62:
		return request{"GetItem", g.get(t, input)}
	case n < 76:
		return request{"Query", g.query(t, input)}
	case n < 82:
		return request{"Scan", g.scan(t, input)}
	case n < 86:
		return request{"BatchGetItem", g.batchGet()}
	case n < 90:
		return request{"BatchWriteItem", g.batchWrite()}
	case n < 97:
		return request{"TransactWriteItems", g.transactWrite()}
	}
	return request{"TransactGetItems", g.transactGet()}
}

// conditional adds a condition in either style, and what goes with it.
func (g *generator) conditional(e *expressions, input object, modern bool) {
	if g.chance(2) {
		if modern {
			input["ConditionExpression"] = e.spoil(e.condition(2))
		} else {
			input["Expected"] = e.expected()
			if g.chance(4) {
				input["ConditionalOperator"] = pick(g, "AND", "OR")
			}
		}
	}
	if g.chance(3) {
		input["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
	}
}

func (g *generator) put(t *table, input object) object {
	e := newExpressions(g)
	input["Item"] = g.item(t)
	g.conditional(e, input, g.chance(2))
	if g.chance(2) {
		input["ReturnValues"] = pick(g, "ALL_OLD", "ALL_OLD", "ALL_OLD", "NONE")
	}
	if g.chance(200) {
		input["ReturnValues"] = pick(g, "ALL_NEW", "WHATEVER")
	}
	e.into(input)
	return input
}

func (g *generator) delete(t *table, input object) object {
	e := newExpressions(g)
	input["Key"] = g.key(t)
	g.conditional(e, input, g.chance(2))
	if g.chance(2) {
		input["ReturnValues"] = "ALL_OLD"
	}
	e.into(input)
	return input
}

func (g *generator) update(t *table, input object) object {
	e := newExpressions(g)
	input["Key"] = g.key(t)
	modern := !g.chance(3)
	if modern {
		input["UpdateExpression"] = e.spoil(e.update())
	} else {
		input["AttributeUpdates"] = e.attributeUpdates()
	}
	g.conditional(e, input, modern != g.chance(100))
	if !g.chance(4) {
		input["ReturnValues"] = pick(g, "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW", "NONE")
	}
	e.into(input)
	return input
}

func (g *generator) projected(e *expressions, input object) {
	switch g.IntN(5) {
	case 0:
		input["ProjectionExpression"] = e.spoil(e.projection())
	case 1:
		if !g.chance(3) {
			return
		}
		input["AttributesToGet"] = []any{"a", pick(g, "m", "p", "s")}
	}
}

func (g *generator) get(t *table, input object) object {
	e := newExpressions(g)
	input["Key"] = g.key(t)
	g.projected(e, input)
	if g.chance(2) {
		input["ConsistentRead"] = true
	}
	e.values = object{}
	e.into(input)
	return input
}

// onIndex chooses what to query or scan: the table or one of its indexes.
func (g *generator) onIndex(t *table, input object) (hash, sort key) {
	all := append(append([]index{}, t.indexes...), t.localIndexes...)
	if len(all) == 0 || g.chance(2) {
		return t.hash, t.sort
	}
	x := all[g.IntN(len(all))]
	input["IndexName"] = x.name
	if g.chance(200) {
		input["IndexName"] = "missing"
	}
	return x.hash, x.sort
}

func (g *generator) paged(input object) {
	if g.chance(3) {
		input["Limit"] = pick(g, 1, 2, 3, 7)
	}
	if g.chance(300) {
		input["Limit"] = 0
	}
	if g.chance(3) {
		input["ConsistentRead"] = true
	}
	if g.chance(8) {
		input["Select"] = pick(g, "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES")
	}
}

func (g *generator) query(t *table, input object) object {
	e := newExpressions(g)
	hash, sort := g.onIndex(t, input)
	g.paged(input)
	modern := !g.chance(3)
	if modern {
		input["KeyConditionExpression"] = e.spoil(g.keyCondition(e, hash, sort))
		if g.chance(3) {
			input["FilterExpression"] = e.spoil(e.condition(1))
		}
		g.projected(e, input)
	} else {
		input["KeyConditions"] = g.keyConditions(hash, sort)
		if g.chance(3) {
			input["QueryFilter"] = e.filters()
		}
	}
	if g.chance(2) {
		input["ScanIndexForward"] = g.chance(3)
	}
	e.into(input)
	return input
}

func (g *generator) keyCondition(e *expressions, hash, sort key) string {
	text := e.name(hash.name) + " = " + e.value(g.keyOf(hash))
	if sort.name == "" || g.chance(2) {
		return text
	}
	name := e.name(sort.name)
	switch g.IntN(4) {
	case 0:
		text += " AND " + name + " BETWEEN " + e.value(g.keyOf(sort)) + " AND " + e.value(g.keyOf(sort))
	case 1:
		text += " AND begins_with(" + name + ", " + e.value(g.keyOf(sort)) + ")"
	default:
		text += " AND " + name + " " + pick(g, "=", "<", "<=", ">", ">=", ">=", "<>") + " " + e.value(g.keyOf(sort))
	}
	return text
}

func (g *generator) keyConditions(hash, sort key) object {
	all := object{hash.name: object{"ComparisonOperator": "EQ", "AttributeValueList": []any{g.keyOf(hash)}}}
	if sort.name == "" || g.chance(2) {
		return all
	}
	operator := pick(g, "EQ", "LT", "LE", "GT", "GE", "BETWEEN", "BEGINS_WITH", "NE")
	list := []any{g.keyOf(sort)}
	if operator == "BETWEEN" {
		list = append(list, g.keyOf(sort))
	}
	all[sort.name] = object{"ComparisonOperator": operator, "AttributeValueList": list}
	return all
}

// keyOf is a value of a key attribute of a table or an index.
func (g *generator) keyOf(k key) object {
	switch k.name {
	case "p", "s":
		return g.keyValue(k.kind)
	}
	return g.attribute(k.name)
}

func (g *generator) scan(t *table, input object) object {
	e := newExpressions(g)
	g.onIndex(t, input)
	g.paged(input)
	if g.chance(2) {
		if g.chance(2) {
			input["FilterExpression"] = e.spoil(e.condition(2))
			g.projected(e, input)
		} else {
			input["ScanFilter"] = e.filters()
			if g.chance(4) {
				input["ConditionalOperator"] = "OR"
			}
		}
	}
	if g.chance(3) {
		input["TotalSegments"] = 1 + g.IntN(4)
		input["Segment"] = 0 // and all others
	}
	e.into(input)
	return input
}

func (g *generator) batchGet() object {
	tables := object{}
	for range 1 + g.IntN(2) {
		t := g.anyTable()
		e := newExpressions(g)
		var keys []any
		for range 1 + g.IntN(4) {
			keys = append(keys, g.key(t))
		}
		one := object{"Keys": keys}
		g.projected(e, one)
		e.values = object{}
		e.into(one)
		tables[g.tableName(t)] = one
	}
	return object{"RequestItems": tables}
}

func (g *generator) batchWrite() object {
	tables := object{}
	for range 1 + g.IntN(2) {
		t := g.anyTable()
		var all []any
		for range 1 + g.IntN(4) {
			if g.chance(3) {
				all = append(all, object{"DeleteRequest": object{"Key": g.key(t)}})
			} else {
				all = append(all, object{"PutRequest": object{"Item": g.item(t)}})
			}
		}
		tables[g.tableName(t)] = all
	}
	return object{"RequestItems": tables}
}

func (g *generator) transactWrite() object {
	var all []any
	for range 1 + g.IntN(4) {
		all = append(all, g.transactItem())
	}
	return g.tokened(object{"TransactItems": all})
}

func (g *generator) transactItem() object {
	t := g.anyTable()
	e := newExpressions(g)
	one := object{"TableName": g.tableName(t)}
	if g.chance(2) {
		one["ConditionExpression"] = e.spoil(e.condition(1))
	}
	if g.chance(3) {
		one["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
	}
	kind := pick(g, "Put", "Put", "Update", "Update", "Delete", "ConditionCheck")
	switch kind {
	case "Put":
		one["Item"] = g.item(t)
	case "Update":
		one["Key"], one["UpdateExpression"] = g.key(t), e.spoil(e.update())
	case "Delete":
		one["Key"] = g.key(t)
	case "ConditionCheck":
		one["Key"] = g.key(t)
		if one["ConditionExpression"] == nil {
			one["ConditionExpression"] = e.condition(1)
		}
	}
	e.into(one)
	return object{kind: one}
}

func (g *generator) transactGet() object {
	var all []any
	for range 1 + g.IntN(4) {
		t := g.anyTable()
		e := newExpressions(g)
		one := object{"TableName": g.tableName(t), "Key": g.key(t)}
		if g.chance(3) {
			one["ProjectionExpression"] = e.spoil(e.projection())
		}
		e.values = object{}
		e.into(one)
		all = append(all, object{"Get": one})
	}
	return object{"TransactItems": all}
}
