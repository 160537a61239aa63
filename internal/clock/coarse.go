package clock

import (
	"math/bits"
	"time"
)

// coarseFrom is how long a pause must be for Coarse to lengthen it.
const coarseFrom = 10 * time.Second

// Coarse is a pause that begins at now, lengthened by at most a 512th if it is ten seconds or longer: pauses of about
// that length end at common moments then. For thousands that do little when they end, waking the processor for each would
// cost more than what they do.
func Coarse(now time.Time, pause time.Duration) time.Duration {
	if pause < coarseFrom {
		return pause
	}
	grain := int64(1) << (bits.Len64(uint64(pause)) - 10) // of the common moments: a 1,024th of the pause or more
	past := now.UnixNano() + int64(pause)
	return pause + time.Duration(-past&(grain-1))
}
