//go:build !amd64

package wire

var vectors, wide = false, false

func decodeBlocks(_, _ *byte, _ int) int { return 0 }

func decodePairs(_, _ *byte, _ int) int { return 0 }

func encodeBlocks(_, _ *byte, _ int) {}

func encodePairs(_, _ *byte, _ int) {}
