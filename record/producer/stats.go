package producer

// Stats are what a producer holds now, and what it has done since New.
type Stats struct {
	// Buffered are the records that were put and whose answers were not handed on yet, BufferedBytes what they count for
	// against Config.MaxBuffered, InFlight the requests under way.
	Buffered      int
	BufferedBytes int64
	InFlight      int

	// Put records were acknowledged, Failed ones given up.
	Put, Failed int64
	// Requests were sent; Unanswered ones had no answer, so that copies are possible.
	Requests, Unanswered int64
	// Retried counts each further attempt at a record, Throttled the records or aggregates that a shard refused for its
	// rate.
	Retried, Throttled int64
	// Mispredicted records or aggregates were taken by another shard than the shard map says: a few after a reshard; many
	// where the stream distributes its records itself.
	Mispredicted int64
	// Listings of the stream's shards.
	Listings int64
}

// Stats may be called at any time, also after Close.
func (p *Producer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Buffered, s.BufferedBytes = p.backlog.n, p.room.used
	return s
}
