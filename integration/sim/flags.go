package sim

import (
	"fmt"
	"strings"
	"time"
)

const defaultFaults = 20 * time.Minute

func (o *Options) layer() int {
	if o.Server {
		return 2
	}
	return 1
}

// Flags are the flags of this package's tests that run the same.
func (o *Options) Flags() string {
	flags := fmt.Sprintf("-seed %d", o.Seed)
	if o.Server {
		flags += " -layer 2"
	}
	if o.Faults != 0 && o.Faults != defaultFaults {
		flags += fmt.Sprintf(" -faults %v", o.Faults)
	}
	if len(o.Off) > 0 {
		flags += " -off " + strings.Join(o.Off, ",")
	}
	if len(o.Skip) > 0 {
		flags += " -skip " + formatPlays(o.Skip)
	}
	if o.Workers > 0 {
		flags += fmt.Sprintf(" -workers %d", o.Workers)
	}
	if o.Shards > 0 {
		flags += fmt.Sprintf(" -shards %d", o.Shards)
	}
	if o.Strict {
		flags += " -strict"
	}
	return flags
}

// formatPlays writes plays as -skip has them: 3,7-12 with both ends.
func formatPlays(skip []Plays) string {
	parts := make([]string, len(skip))
	for i, p := range skip {
		if parts[i] = fmt.Sprint(p.From); p.To > p.From+1 {
			parts[i] = fmt.Sprintf("%d-%d", p.From, p.To-1)
		}
	}
	return strings.Join(parts, ",")
}

func parsePlays(text string) (skip []Plays, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		p := Plays{}
		if n, _ := fmt.Sscanf(part, "%d-%d", &p.From, &p.To); n == 1 {
			p.To = p.From
		}
		if p.From < 1 || p.To < p.From {
			return nil, fmt.Errorf("-skip %q; want numbers of plays from 1 on and ranges of them, as 3,7-12", text)
		}
		p.To++
		skip = append(skip, p)
	}
	return skip, nil
}
