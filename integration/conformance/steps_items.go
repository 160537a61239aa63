package main

import "fmt"

// lease is an item as a worker stores it.
func lease(id, owner string, counter int) obj {
	return obj{"leaseKey": str(id), "leaseOwner": str(owner), "leaseCounter": num(fmt.Sprint(counter)), "checkpoint": str("TRIM_HORIZON")}
}

// get reads a lease, consistently.
func get(id string) step {
	return tablesCall("GetItem", inLeases(obj{"Key": leaseKey(id), "ConsistentRead": true}))
}

func put(item, more obj) step {
	return tablesCall("PutItem", inLeases(join(obj{"Item": item}, more)))
}

func itemSteps() []step {
	everything := obj{
		"leaseKey": str("everything"), "b": obj{"B": blob("bytes")}, "n": num("-12345678901234567890.123456789012345678"), "yes": obj{"BOOL": true}, "no": obj{"BOOL": false},
		"none": obj{"NULL": true}, "l": obj{"L": list{str("x"), num("1"), obj{"L": list{}}}}, "m": obj{"M": obj{"deep": obj{"M": obj{"er": str("")}}}},
		"ss": set("a", "b"), "ns": obj{"NS": list{"1", "2.5"}},
	}
	back := join(everything, obj{"b": obj{"B": data("bytes")}, "ss": obj{"SS": unordered("a", "b")}, "ns": obj{"NS": unordered("1", "2.5")}})
	return []step{
		put(lease("1", "w1", 1), nil).gives(obj{}),
		put(lease("1", "w1", 2), obj{"ReturnValues": "ALL_OLD", "ReturnConsumedCapacity": "TOTAL"}).gives(
			obj{"Attributes": lease("1", "w1", 1), "ConsumedCapacity": with(obj{"TableName": "leases", "CapacityUnits": number(1, 3)})}).named("over another"),
		put(everything, nil).gives(obj{}).named("of all types"),
		get("everything").gives(obj{"Item": back}).named("of all types"),
		get("none").gives(obj{}).named("none"),
		tablesCall("GetItem", inLeases(obj{"Key": leaseKey("everything"), "ProjectionExpression": "m.deep, #l[1]", "ExpressionAttributeNames": obj{"#l": "l"}})).gives(
			obj{"Item": obj{"m": obj{"M": obj{"deep": obj{"M": obj{"er": str("")}}}}, "l": obj{"L": list{num("1")}}}}).named("projected"),
		tablesCall("GetItem", inLeases(obj{"Key": leaseKey("1"), "ReturnConsumedCapacity": "TOTAL"})).gives(
			obj{"Item": lease("1", "w1", 2), "ConsumedCapacity": obj{"TableName": "leases", "CapacityUnits": 0.5}}).named("at half the price"),
		tablesCall("GetItem", inLeases(obj{"Key": obj{"id": str("1")}})).fails("ValidationException", "The provided key element does not match the schema"),
		tablesCall("GetItem", obj{"TableName": "none", "Key": leaseKey("1")}).fails("ResourceNotFoundException", noTable),
		put(obj{"leaseOwner": str("w1")}, nil).fails("ValidationException", "One or more parameter values were invalid: Missing the key leaseKey in the item").named("without its key"),
		put(obj{"leaseKey": num("1")}, nil).fails("ValidationException", "One or more parameter values were invalid: Type mismatch for key leaseKey expected: S actual: N").named("with a wrong key"),
		tablesCall("DeleteItem", inLeases(obj{"Key": leaseKey("everything"), "ReturnValues": "ALL_OLD"})).gives(obj{"Attributes": back}),
		tablesCall("DeleteItem", inLeases(obj{"Key": leaseKey("everything")})).gives(obj{}).named("none"),
	}
}

func conditionSteps() []step {
	shown := obj{"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
	failed := func(s step) step { return s.fails("ConditionalCheckFailedException", failedCondition) }
	return []step{
		failed(put(lease("1", "w2", 9), obj{"Expected": obj{"leaseKey": obj{"Exists": false}}})).named("Expected"),
		put(lease("2", "w2", 1), obj{"Expected": obj{"leaseKey": obj{"Exists": false}}}).gives(obj{}).named("Expected"),
		failed(put(lease("2", "w3", 9), join(shown, obj{"ConditionExpression": "attribute_not_exists(leaseKey)"}))).holding(obj{"Item": lease("2", "w2", 1)}).named("condition"),
		put(lease("3", "w1", 1), obj{"ConditionExpression": "attribute_not_exists(leaseKey)"}).gives(obj{}).named("condition"),
		failed(tablesCall("DeleteItem", inLeases(obj{"Key": leaseKey("3"), "ConditionExpression": "#k = :v AND attribute_exists (gone)",
			"ExpressionAttributeNames": obj{"#k": "leaseOwner"}, "ExpressionAttributeValues": obj{":v": str("w1")}}))),
		tablesCall("DeleteItem", inLeases(obj{"Key": leaseKey("3"), "ConditionExpression": "#k = :v AND attribute_exists (leaseKey)",
			"ExpressionAttributeNames": obj{"#k": "leaseOwner"}, "ExpressionAttributeValues": obj{":v": str("w1")}})).gives(obj{}).named("condition"),
		get("3").gives(obj{}).named("deleted"),
		failed(tablesCall("DeleteItem", inLeases(obj{"Key": leaseKey("2"), "Expected": obj{"leaseOwner": obj{"Value": str("w9")}}}))).named("Expected"),
		put(lease("4", "w1", 1), obj{"ConditionExpression": "attribute_not_exists(leaseKey) OR (attribute_exists(leaseKey) AND #o = :o AND NOT #c > :c)",
			"ExpressionAttributeNames": obj{"#o": "leaseOwner", "#c": "leaseCounter"}, "ExpressionAttributeValues": obj{":o": str("w1"), ":c": num("7")}}).gives(obj{}).named("lock client's condition"),
		put(lease("4", "w1", 1), obj{"ConditionExpression": "leaseKey = = :x", "ExpressionAttributeValues": obj{":x": str("")}}).fails("ValidationException",
			`Invalid ConditionExpression: Syntax error; token: "=", near: "= = :x"`).named("bad condition"),
		put(lease("4", "w1", 1), obj{"ConditionExpression": "attribute_exists(leaseKey)", "ExpressionAttributeValues": obj{":x": str("")}}).fails("ValidationException",
			"Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}").named("unused value"),
		put(lease("4", "w1", 1), obj{"ConditionExpression": "size = :x", "ExpressionAttributeValues": obj{":x": str("")}}).fails("ValidationException",
			matcher(present)).named("reserved word"),
	}
}

func updateSteps() []step {
	update := func(id string, more obj) step {
		return tablesCall("UpdateItem", inLeases(join(obj{"Key": leaseKey(id)}, more)))
	}
	legacy := obj{
		"AttributeUpdates": obj{"leaseCounter": obj{"Action": "ADD", "Value": num("1")}, "leaseOwner": obj{"Action": "PUT", "Value": str("w5")}, "checkpoint": obj{"Action": "DELETE"}},
		"Expected":         obj{"leaseCounter": obj{"Exists": true, "Value": num("2")}, "pending": obj{"Exists": false}, "leaseKey": obj{"Value": str("1")}},
		"ReturnValues":     "ALL_NEW", "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
	}
	moved := obj{"leaseKey": str("1"), "leaseOwner": str("w5"), "leaseCounter": num("3")}
	names := obj{"#AMZN_MAPPED_c": "leaseCounter", "#AMZN_MAPPED_o": "leaseOwner", "#AMZN_MAPPED_m": "stats"}
	return []step{
		update("1", legacy).gives(obj{"Attributes": moved}).named("legacy"),
		update("1", legacy).fails("ConditionalCheckFailedException", failedCondition).holding(obj{"Item": moved}).named("legacy"),
		get("1").gives(obj{"Item": moved}).named("after both"),
		update("1", obj{"UpdateExpression": "SET #AMZN_MAPPED_c = #AMZN_MAPPED_c + :one, #AMZN_MAPPED_m = :m REMOVE #AMZN_MAPPED_o", "ExpressionAttributeNames": names,
			"ExpressionAttributeValues": obj{":one": num("1"), ":m": obj{"M": obj{"cpu": obj{"L": list{num("0.25")}}}}}, "ReturnValues": "UPDATED_NEW"}).gives(
			obj{"Attributes": obj{"leaseCounter": num("4"), "stats": obj{"M": obj{"cpu": obj{"L": list{num("0.25")}}}}}}).named("expression"),
		update("1", obj{"UpdateExpression": "SET stats.cpu = list_append(stats.cpu, :l), #o = if_not_exists(#o, :o) ADD tags :t", "ExpressionAttributeNames": obj{"#o": "leaseOwner"},
			"ExpressionAttributeValues": obj{":l": obj{"L": list{num("1")}}, ":o": str("w6"), ":t": set("x")}, "ReturnValues": "ALL_NEW"}).gives(
			obj{"Attributes": obj{"leaseKey": str("1"), "leaseCounter": num("4"), "leaseOwner": str("w6"), "tags": set("x"), "stats": obj{"M": obj{"cpu": obj{"L": list{num("0.25"), num("1")}}}}}}).named("functions"),
		update("1", obj{"UpdateExpression": "DELETE tags :t", "ExpressionAttributeValues": obj{":t": set("x")}, "ReturnValues": "UPDATED_OLD"}).gives(
			obj{"Attributes": obj{"tags": set("x")}}).named("emptying a set"),
		update("1", obj{"UpdateExpression": "SET leaseOwner = :o", "ConditionExpression": "leaseCounter = :c", "ExpressionAttributeValues": obj{":o": str("w7"), ":c": num("99")},
			"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}).fails("ConditionalCheckFailedException", failedCondition).holding(obj{"Item": with(obj{"leaseCounter": num("4")})}).named("condition"),
		update("new", obj{"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": obj{":a": num("1")}}).gives(obj{}).named("of none"),
		get("new").gives(obj{"Item": obj{"leaseKey": str("new"), "a": num("1")}}).named("made by an update"),
		update("1", obj{"UpdateExpression": "SET leaseKey = :k", "ExpressionAttributeValues": obj{":k": str("2")}}).fails("ValidationException",
			"One or more parameter values were invalid: Cannot update attribute leaseKey. This attribute is part of the key").named("of the key"),
		update("1", obj{"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": obj{":a": num("1e126")}}).fails("ValidationException",
			text(".*Number overflow. Attempting to store a number with magnitude larger than supported range.*")).named("too high a number"),
		tablesCall("DeleteItem", inLeases(obj{"Key": leaseKey("new")})).gives(obj{}).named("tidy"),
	}
}

func querySteps() []step {
	row := func(r int) obj { return obj{"h": str("a"), "r": num(fmt.Sprint(r)), "even": obj{"BOOL": r%2 == 0}} }
	fill := []step{}
	for r := range 5 {
		fill = append(fill, tablesCall("PutItem", obj{"TableName": "second", "Item": row(r)}).gives(obj{}).named("a row"))
	}
	query := func(more obj) step {
		return tablesCall("Query", join(obj{"TableName": "second", "KeyConditionExpression": "h = :h", "ExpressionAttributeValues": obj{":h": str("a")}}, more))
	}
	ofOwner := func(more obj) step {
		return tablesCall("Query", inLeases(join(obj{"IndexName": "LeaseOwnerToLeaseKeyIndex", "KeyConditionExpression": "leaseOwner = :o"}, more)))
	}
	segment := func(n int) step {
		return tablesCall("Scan", obj{"TableName": "second", "Segment": n, "TotalSegments": 2})
	}
	return append(fill,
		query(nil).gives(obj{"Items": list{row(0), row(1), row(2), row(3), row(4)}, "Count": 5, "ScannedCount": 5}),
		query(obj{"ScanIndexForward": false, "Limit": 2}).gives(obj{"Items": list{row(4), row(3)}, "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": obj{"h": str("a"), "r": num("3")}}).named("a page backwards"),
		query(obj{"ScanIndexForward": false, "ExclusiveStartKey": obj{"h": str("a"), "r": num("3")}}).gives(obj{"Items": list{row(2), row(1), row(0)}, "Count": 3, "ScannedCount": 3}).named("the next page"),
		query(obj{"KeyConditionExpression": "h = :h AND r BETWEEN :a AND :b", "FilterExpression": "even = :t",
			"ExpressionAttributeValues": obj{":h": str("a"), ":a": num("1"), ":b": num("3"), ":t": obj{"BOOL": true}}}).gives(obj{"Items": list{row(2)}, "Count": 1, "ScannedCount": 3}).named("a range, filtered"),
		query(obj{"Select": "COUNT"}).gives(obj{"Items": may(list{}), "Count": 5, "ScannedCount": 5}).named("counting"),
		ofOwner(obj{"ExpressionAttributeValues": obj{":o": str("w2")}}).becomes(obj{"Items": list{obj{"leaseKey": str("2"), "leaseOwner": str("w2")}}, "Count": 1, "ScannedCount": 1}).named("of an index"),
		ofOwner(obj{"ExpressionAttributeValues": obj{":o": str("w5")}}).becomes(obj{"Items": list{}, "Count": 0, "ScannedCount": 0}).named("of a former owner"),
		ofOwner(obj{"ConsistentRead": true, "ExpressionAttributeValues": obj{":o": str("w5")}}).fails("ValidationException", "Consistent reads are not supported on global secondary indexes").named("of an index, consistent"),
		tablesCall("Scan", leases).gives(obj{"Items": unordered(with(leaseKey("1")), with(leaseKey("2")), with(leaseKey("4"))), "Count": 3, "ScannedCount": 3}),
		tablesCall("Scan", inLeases(obj{"FilterExpression": "leaseOwner = :o", "ExpressionAttributeValues": obj{":o": str("w2")}, "ConsistentRead": true, "ReturnConsumedCapacity": "TOTAL"})).gives(
			obj{"Items": list{lease("2", "w2", 1)}, "Count": 1, "ScannedCount": 3, "ConsumedCapacity": obj{"TableName": "leases", "CapacityUnits": 1}}).named("filtered"),
		tablesCall("Scan", inLeases(obj{"Limit": 1})).gives(obj{"Items": each(1, with(obj{"leaseKey": matcher(present)})), "Count": 1, "ScannedCount": 1, "LastEvaluatedKey": keep("last", obj{"leaseKey": matcher(present)})}).named("a page"),
		tablesCall("Scan", inLeases(obj{"ExclusiveStartKey": ref("last")})).gives(obj{"Items": each(2, with(obj{"leaseKey": matcher(present)})), "Count": 2, "ScannedCount": 2}).named("the next page"),
		// One hash key is in one segment.
		segment(0).gives(with(obj{"Count": keep("half", number(0, 5))})).named("half of the table"),
		segment(1).gives(with(obj{"Count": matcher(func(vars obj, got any, _ bool) error {
			return match(vars, 5-vars["half"].(float64), got, true)
		})})).named("the other half"),
		segment(2).fails("ValidationException", starts("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2")).named("no such segment"),
	)
}

func batchSteps() []step {
	write := func(requests ...any) step {
		return tablesCall("BatchWriteItem", obj{"RequestItems": obj{"leases": list(requests)}})
	}
	putting := func(id string) obj { return obj{"PutRequest": obj{"Item": lease(id, "b", 1)}} }
	deleting := func(id string) obj { return obj{"DeleteRequest": obj{"Key": leaseKey(id)}} }
	return []step{
		write(putting("b1"), putting("b2"), deleting("4")).gives(obj{"UnprocessedItems": obj{}}),
		tablesCall("BatchGetItem", obj{"RequestItems": obj{"leases": obj{"Keys": list{leaseKey("b1"), leaseKey("b2"), leaseKey("4")}, "ConsistentRead": true}}}).gives(
			obj{"Responses": obj{"leases": unordered(lease("b1", "b", 1), lease("b2", "b", 1))}, "UnprocessedKeys": obj{}}),
		tablesCall("BatchGetItem", obj{"RequestItems": obj{"leases": obj{"Keys": list{leaseKey("b1")}, "ProjectionExpression": "leaseOwner"}}}).gives(
			obj{"Responses": obj{"leases": list{obj{"leaseOwner": str("b")}}}, "UnprocessedKeys": obj{}}).named("projected"),
		write(deleting("b1"), deleting("b1")).fails("ValidationException", "Provided list of item keys contains duplicates").named("twice the same"),
		tablesCall("BatchGetItem", obj{"RequestItems": obj{"leases": obj{"Keys": list{leaseKey("b1"), leaseKey("b1")}}}}).fails("ValidationException", "Provided list of item keys contains duplicates").named("twice the same"),
		tablesCall("BatchWriteItem", obj{"RequestItems": obj{"none": list{putting("x")}}}).fails("ResourceNotFoundException", noTable).named("no table"),
		write(deleting("b1"), deleting("b2")).gives(obj{"UnprocessedItems": obj{}}).named("tidy"),
	}
}

func transactionSteps() []step {
	write := func(token string, items ...any) step {
		in := obj{"TransactItems": list(items)}
		if token != "" {
			in["ClientRequestToken"] = token
		}
		return tablesCall("TransactWriteItems", in)
	}
	putting := func(id string, more obj) obj {
		return obj{"Put": inLeases(join(obj{"Item": lease(id, "t", 1)}, more))}
	}
	isNew := obj{"ConditionExpression": "attribute_not_exists(leaseKey)"}
	owned := func(id, owner string) obj {
		return obj{"ConditionCheck": inLeases(obj{"Key": leaseKey(id), "ConditionExpression": "leaseOwner = :o", "ExpressionAttributeValues": obj{":o": str(owner)}})}
	}
	adding := obj{"Update": inLeases(obj{"Key": leaseKey("t1"), "UpdateExpression": "ADD leaseCounter :n", "ExpressionAttributeValues": obj{":n": num("1")}})}
	deleting := func(id string) obj { return obj{"Delete": inLeases(obj{"Key": leaseKey(id)})} }
	cancelled := func(reasons string) string {
		return "Transaction cancelled, please refer cancellation reasons for specific reasons [" + reasons + "]"
	}
	return []step{
		write("", putting("t1", isNew), putting("t2", isNew), owned("2", "w2")).gives(obj{}),
		write("", putting("t3", isNew), putting("t2", join(isNew, obj{"ReturnValuesOnConditionCheckFailure": "ALL_OLD"})), owned("2", "w9")).fails(
			"TransactionCanceledException", cancelled("None, ConditionalCheckFailed, ConditionalCheckFailed")).holding(obj{"CancellationReasons": list{
			obj{"Code": "None"}, obj{"Code": "ConditionalCheckFailed", "Message": failedCondition, "Item": lease("t2", "t", 1)},
			obj{"Code": "ConditionalCheckFailed", "Message": failedCondition}}}).named("refused"),
		get("t3").gives(obj{}).named("of a refused transaction"),
		write("token-1", adding).gives(obj{}).named("with a token"),
		write("token-1", adding).gives(obj{}).named("with the token again"),
		get("t1").gives(obj{"Item": lease("t1", "t", 2)}).named("added to once"),
		write("token-1", deleting("t1")).fails("IdempotentParameterMismatchException", matcher(present)).named("other items under the token"),
		tablesCall("TransactGetItems", obj{"TransactItems": list{obj{"Get": inLeases(obj{"Key": leaseKey("t1")})}, obj{"Get": inLeases(obj{"Key": leaseKey("t9")})},
			obj{"Get": inLeases(obj{"Key": leaseKey("t2"), "ProjectionExpression": "leaseOwner"})}}}).gives(
			obj{"Responses": list{obj{"Item": lease("t1", "t", 2)}, obj{}, obj{"Item": obj{"leaseOwner": str("t")}}}}),
		write("", deleting("t1"), deleting("t1")).fails("ValidationException", "Transaction request cannot include multiple operations on one item").named("twice the same item"),
		write("", deleting("t1"), deleting("t2")).gives(obj{}).named("tidy"),
		tablesCall("Scan", inLeases(obj{"Select": "COUNT"})).gives(obj{"Items": may(list{}), "Count": 2, "ScannedCount": 2}).named("what is left"),
	}
}
