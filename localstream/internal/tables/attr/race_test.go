//go:build race

package attr

// leeway multiplies what a reading may take: the race detector makes values escape to the heap that otherwise do not.
const leeway = 2
