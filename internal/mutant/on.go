//go:build mutants

package mutant

import "sync/atomic"

// Enabled tells whether faults can be planted in this build.
const Enabled = true

var (
	planted atomic.Uint32
	bucket  atomic.Int64
)

// bucketSize is the size of the SDK's own bucket of retry tokens.
const bucketSize = 500

// Plant plants f in place of what was planted before. No worker may run meanwhile.
func Plant(f Fault) {
	planted.Store(uint32(f))
	bucket.Store(bucketSize)
}

// Planted reports whether f was planted.
func Planted(f Fault) bool { return planted.Load() == uint32(f) }

// Spend takes tokens for retries out of the bucket of SharedRetryBucket, or puts some back.
func Spend(tokens int64) {
	if Planted(SharedRetryBucket) {
		bucket.Store(max(0, min(bucketSize, bucket.Load()-tokens)))
	}
}

// Spent reports whether no token is left for an attempt.
func Spent() bool { return Planted(SharedRetryBucket) && bucket.Load() < 5 }
