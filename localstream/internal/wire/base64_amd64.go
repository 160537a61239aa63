package wire

// vectors says that the processor has the instructions of the blocks below: all have but the very first of their kind.
// wide says that it has those of the pairs too, as all have since about 2015.
var (
	vectors = hasSSSE3()
	wide    = vectors && hasAVX2()
)

func hasSSSE3() bool

func hasAVX2() bool

// decodeBlocks decodes up to so many blocks of 16 characters into 12 bytes each and returns how many it did: it ends
// before the first with anything but plain characters. It writes 4 bytes more than that, over characters that it has read
// if dst is src.
//
//go:noescape
func decodeBlocks(dst, src *byte, blocks int) (done int)

// decodePairs is decodeBlocks for two blocks at a time: it writes 8 bytes more, over characters that it has read.
//
//go:noescape
func decodePairs(dst, src *byte, pairs int) (done int)

// encodeBlocks encodes so many blocks of 12 bytes into 16 characters each. It reads 4 bytes more than that.
//
//go:noescape
func encodeBlocks(dst, src *byte, blocks int)

// encodePairs is encodeBlocks for two blocks at a time.
//
//go:noescape
func encodePairs(dst, src *byte, pairs int)
