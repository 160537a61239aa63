package kinesis

// Limits are what the service gives an account. Members that are 0 are no limit, unless they say otherwise.
type Limits struct {
	// WriteRecords and WriteBytes are what a shard takes in a second. One record may be larger: it overdraws a full
	// allowance, and the next waits until that has refilled.
	WriteRecords, WriteBytes float64
	// ReadCalls and ReadBytes are the GetRecords calls and the bytes that a shard gives in a second. An answer may be
	// larger, up to 10 MiB: the next call must wait until it is paid back, at 2 MiB/s five seconds.
	ReadCalls, ReadBytes float64
	// Iterators is the GetShardIterator calls that a shard takes in a second.
	Iterators float64
	// Control scales the service's rates of calls that are not about records, such as 10 DescribeStream a second: 1 is
	// as the service has them.
	Control float64
	// Daily enforces what a stream may do in 24 hours: 10 UpdateShardCount, 2 UpdateStreamMode, 25 changes of its
	// encryption each way.
	Daily bool
	// Shards is how many open shards the account may have, 0 for 20,000; that one is enforced always.
	Shards int
}

// RealLimits are those of the service for a new account in a large region.
var RealLimits = Limits{
	WriteRecords: 1000, WriteBytes: 1 << 20,
	ReadCalls: 5, ReadBytes: 2 << 20,
	Iterators: 5, Control: 1, Daily: true, Shards: maxShards,
}

// Scale multiplies the rates by a positive factor and leaves quotas as they are.
func (l Limits) Scale(factor float64) Limits {
	for _, rate := range []*float64{&l.WriteRecords, &l.WriteBytes, &l.ReadCalls, &l.ReadBytes, &l.Iterators, &l.Control} {
		*rate *= factor
	}
	return l
}

func (l Limits) write() rate     { return rate{l.WriteRecords, l.WriteBytes} }
func (l Limits) read() rate      { return rate{l.ReadCalls, l.ReadBytes} }
func (l Limits) iterators() rate { return rate{count: l.Iterators} }
