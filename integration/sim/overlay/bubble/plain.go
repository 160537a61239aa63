//go:build !detsim

package bubble

const exact = false

func setSeed(uint64) {}
