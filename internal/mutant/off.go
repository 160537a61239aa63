//go:build !mutants

package mutant

// Enabled tells whether faults can be planted in this build.
const Enabled = false

// Planted reports whether f was planted: never.
func Planted(Fault) bool { return false }

// Spend does nothing.
func Spend(int64) {}

// Spent is never true.
func Spent() bool { return false }
