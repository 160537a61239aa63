package archive

import "time"

// Hooks are functions that an Archiver calls on events, for metrics and alarms. Each is optional. They are called from
// several goroutines at once and must be fast.
type Hooks struct {
	// Stored is called when an object exists that holds the records which this process had for it, or a part of them.
	Stored func(o Object)
	// Dropped and Failed are called for each record that the transform did not want, or that became a dead letter.
	Dropped func(shard string)
	Failed  func(shard, errorType string, err error)
	// Retrying is called before each new attempt at an object.
	Retrying func(shard, key string, attempt int, err error)
	// Lagging is called now and then, at least twice a minute, while a record that is in no object is older than
	// Config.LagAlarm.
	Lagging func(shard string, oldest time.Duration)
	// Full is called when reading has to wait because Config.Budget is used up.
	Full func(shard string)
}

// An Object is one that was made, or found.
type Object struct {
	Shard, Key string
	// Adopted tells that another attempt had made it.
	Adopted bool
	// Dead tells that it holds dead letters.
	Dead bool
	// Records and Bytes are what this process had for the object that is in it now, Size the length of the body.
	Records int
	Bytes   int64
	Size    int64
	// Took is how long it took from the cut, Oldest how old the first record was when the object was there.
	Took, Oldest time.Duration
}
