//go:build detsim

package bubble

import _ "unsafe" // for go:linkname

const exact = true

//go:linkname detSeed runtime.detSeed
var detSeed uint64

func setSeed(seed uint64) { detSeed = seed }
