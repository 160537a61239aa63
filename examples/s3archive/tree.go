package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
)

// printTree prints keys as folders, and of each folder the first objects.
func printTree(out io.Writer, objects []archive.Listed) {
	const most = 3
	var folder []string
	n := 0
	rest := func() {
		if n > most {
			fmt.Fprintf(out, "%s… and %d more\n", strings.Repeat("  ", len(folder)), n-most)
		}
	}
	for _, o := range objects {
		parts := strings.Split(o.Key, "/")
		dirs := parts[:len(parts)-1]
		same := 0
		for same < min(len(dirs), len(folder)) && dirs[same] == folder[same] {
			same++
		}
		if same < len(dirs) || same < len(folder) {
			rest()
			n = 0
		}
		for i := same; i < len(dirs); i++ {
			fmt.Fprintf(out, "%s%s/\n", strings.Repeat("  ", i), dirs[i])
		}
		folder = dirs
		if n++; n <= most {
			fmt.Fprintf(out, "%s%s  %d bytes\n", strings.Repeat("  ", len(dirs)), strings.TrimLeft(parts[len(parts)-1], "0"), o.Size)
		}
	}
	rest()
}
