// Package bubble seeds the bubbles of testing/synctest in a binary that was built with the runtime of
// integration/sim/overlay and the build tag detsim:
//
//	bubble.Seed(seed)
//	synctest.Test(t, func(t *testing.T) { … })
//
// There, with GOMAXPROCS=1 and GOGC=off, all that happens in the bubble follows from the seed. In any other binary Seed
// does nothing, and the bubble runs as the ordinary runtime has it.
package bubble

// Exact reports whether bubbles repeat exactly in this binary.
func Exact() bool { return exact }

// Seed has the bubbles that begin from now on draw from seed; 0 leaves them to chance again. It must not be called while
// a bubble runs.
func Seed(seed uint64) { setSeed(seed) }
