//go:build !race

package attr

// leeway multiplies what a reading may take.
const leeway = 1
