package main

const tableARN = "arn:aws:dynamodb:us-east-1:" + account + ":table/leases"

var leases = obj{"TableName": "leases"}

// inLeases is the name of the table of most steps with further members.
func inLeases(more obj) obj { return join(leases, more) }

// Values of DynamoDB.
func str(s string) obj       { return obj{"S": s} }
func num(n string) obj       { return obj{"N": n} }
func set(s ...any) obj       { return obj{"SS": list(s)} }
func leaseKey(id string) obj { return obj{"leaseKey": str(id)} }

const (
	failedCondition = "The conditional request failed"
	noTable         = "Requested resource not found"
)

// description is what is said of the table; all counts zero while it is new.
func description(status any, changes obj) obj {
	return join(obj{
		"TableName": "leases", "TableStatus": status, "TableArn": tableARN, "TableId": text("[0-9a-f-]{36}"),
		"AttributeDefinitions": list{obj{"AttributeName": "leaseKey", "AttributeType": "S"}},
		"KeySchema":            list{obj{"AttributeName": "leaseKey", "KeyType": "HASH"}},
		"CreationDateTime":     matcher(recent), "TableSizeBytes": number(0, 1e6), "ItemCount": number(0, 100),
		"BillingModeSummary":         with(obj{"BillingMode": "PAY_PER_REQUEST"}),
		"ProvisionedThroughput":      with(obj{"ReadCapacityUnits": 0, "WriteCapacityUnits": 0, "NumberOfDecreasesToday": 0}),
		"TableThroughputModeSummary": may(matcher(present)), "WarmThroughput": may(matcher(present)), "OnDemandThroughput": may(matcher(present)),
		"DeletionProtectionEnabled": true,
	}, changes)
}

func tableSteps() []step {
	create := inLeases(obj{
		"AttributeDefinitions": list{obj{"AttributeName": "leaseKey", "AttributeType": "S"}},
		"KeySchema":            list{obj{"AttributeName": "leaseKey", "KeyType": "HASH"}},
		"BillingMode":          "PAY_PER_REQUEST", "DeletionProtectionEnabled": true, "Tags": list{obj{"Key": "app", "Value": "map"}},
	})
	index := obj{
		"AttributeDefinitions": list{obj{"AttributeName": "leaseOwner", "AttributeType": "S"}, obj{"AttributeName": "leaseKey", "AttributeType": "S"}},
		"GlobalSecondaryIndexUpdates": list{obj{"Create": obj{"IndexName": "LeaseOwnerToLeaseKeyIndex", "Projection": obj{"ProjectionType": "KEYS_ONLY"},
			"KeySchema": list{obj{"AttributeName": "leaseOwner", "KeyType": "HASH"}, obj{"AttributeName": "leaseKey", "KeyType": "RANGE"}}}}},
	}
	indexed := func(status any) obj {
		return obj{
			"AttributeDefinitions": unordered(index["AttributeDefinitions"].(list)...),
			"GlobalSecondaryIndexes": list{with(obj{"IndexName": "LeaseOwnerToLeaseKeyIndex", "IndexStatus": status,
				"Projection": with(obj{"ProjectionType": "KEYS_ONLY"}), "IndexArn": tableARN + "/index/LeaseOwnerToLeaseKeyIndex",
				"KeySchema": list{obj{"AttributeName": "leaseOwner", "KeyType": "HASH"}, obj{"AttributeName": "leaseKey", "KeyType": "RANGE"}}})},
		}
	}
	return []step{
		tablesCall("ListTables", obj{}).gives(obj{"TableNames": list{}}).named("none"),
		tablesCall("DescribeTable", leases).fails("ResourceNotFoundException", "Requested resource not found: Table: leases not found"),
		tablesCall("CreateTable", create).gives(obj{"TableDescription": description(text("CREATING|ACTIVE"), nil)}),
		tablesCall("CreateTable", create).fails("ResourceInUseException", "Table already exists: leases").named("again"),
		tablesCall("DescribeTable", leases).becomes(obj{"Table": description("ACTIVE", nil)}),
		tablesCall("CreateTable", obj{"TableName": "second", "BillingMode": "PROVISIONED", "ProvisionedThroughput": obj{"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
			"AttributeDefinitions": list{obj{"AttributeName": "h", "AttributeType": "S"}, obj{"AttributeName": "r", "AttributeType": "N"}},
			"KeySchema":            list{obj{"AttributeName": "h", "KeyType": "HASH"}, obj{"AttributeName": "r", "KeyType": "RANGE"}}}).gives(
			obj{"TableDescription": with(obj{"TableName": "second", "ProvisionedThroughput": with(obj{"ReadCapacityUnits": 5, "WriteCapacityUnits": 6})})}).named("provisioned"),
		tablesCall("ListTables", obj{"Limit": 1}).becomes(obj{"TableNames": list{"leases"}, "LastEvaluatedTableName": "leases"}),
		tablesCall("ListTables", obj{"ExclusiveStartTableName": "leases"}).gives(obj{"TableNames": list{"second"}}).named("the next page"),
		tablesCall("UpdateTable", inLeases(index)).gives(obj{"TableDescription": description(text("UPDATING|ACTIVE"), indexed(text("CREATING|ACTIVE")))}).named("an index"),
		tablesCall("DescribeTable", leases).becomes(obj{"Table": description("ACTIVE", indexed("ACTIVE"))}).named("with the index"),
		tablesCall("DeleteTable", leases).fails("ValidationException", matcher(present)).named("protected"),
		tablesCall("DescribeTable", obj{"TableName": "second"}).becomes(obj{"Table": with(obj{"TableStatus": "ACTIVE"})}).named("provisioned"),
	}
}

func tableSettingSteps() []step {
	tag := func(key, value string) obj { return obj{"Key": key, "Value": value} }
	ttl := func(on bool) obj {
		return inLeases(obj{"TimeToLiveSpecification": obj{"AttributeName": "expires", "Enabled": on}})
	}
	backups := func(status string) obj {
		return obj{"ContinuousBackupsDescription": obj{"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": with(obj{"PointInTimeRecoveryStatus": status})}}
	}
	return []step{
		tablesCall("DescribeTimeToLive", leases).gives(obj{"TimeToLiveDescription": obj{"TimeToLiveStatus": "DISABLED"}}),
		tablesCall("UpdateTimeToLive", ttl(true)).gives(obj{"TimeToLiveSpecification": obj{"AttributeName": "expires", "Enabled": true}}),
		tablesCall("DescribeTimeToLive", leases).becomes(obj{"TimeToLiveDescription": obj{"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}}).named("enabled"),
		tablesCall("UpdateTimeToLive", ttl(true)).fails("ValidationException", "TimeToLive is already enabled").named("again"),
		tablesCall("DescribeContinuousBackups", leases).gives(backups("DISABLED")),
		tablesCall("UpdateContinuousBackups", inLeases(obj{"PointInTimeRecoverySpecification": obj{"PointInTimeRecoveryEnabled": true}})).gives(backups("ENABLED")),
		tablesCall("DescribeContinuousBackups", leases).gives(backups("ENABLED")).named("enabled"),
		tablesCall("TagResource", obj{"ResourceArn": tableARN, "Tags": list{tag("cost", "42")}}).gives(obj{}),
		tablesCall("ListTagsOfResource", obj{"ResourceArn": tableARN}).gives(obj{"Tags": unordered(tag("app", "map"), tag("cost", "42"))}),
		tablesCall("UntagResource", obj{"ResourceArn": tableARN, "TagKeys": list{"app"}}).gives(obj{}),
		tablesCall("ListTagsOfResource", obj{"ResourceArn": tableARN}).gives(obj{"Tags": list{tag("cost", "42")}}).named("one left"),
	}
}

func tableEndSteps() []step {
	return []step{
		tablesCall("UpdateTable", inLeases(obj{"DeletionProtectionEnabled": false})).gives(
			obj{"TableDescription": with(obj{"DeletionProtectionEnabled": false})}).named("unprotected"),
		tablesCall("DescribeTable", leases).becomes(obj{"Table": with(obj{"TableStatus": "ACTIVE"})}).named("unprotected"),
		tablesCall("DeleteTable", leases).gives(obj{"TableDescription": with(obj{"TableName": "leases", "TableStatus": "DELETING"})}),
		tablesCall("ListTables", obj{}).becomes(obj{"TableNames": list{"second"}}).named("one left"),
		tablesCall("GetItem", inLeases(obj{"Key": leaseKey("1")})).fails("ResourceNotFoundException", noTable).named("deleted"),
	}
}
