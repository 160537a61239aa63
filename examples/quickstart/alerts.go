package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/worker"
)

// strong is the magnitude from which on alerts speaks up.
const strong = 5.3

// alerts is an application without state: it tells of each strong quake, and checkpoints batch by batch. A batch whose
// worker dies before the checkpoint comes again to the shard's next owner.
func alerts(tell func(format string, args ...any)) func(context.Context, *worker.Batch) error {
	return func(ctx context.Context, b *worker.Batch) error {
		for _, r := range b.Records {
			q, err := parseQuake(r.Data)
			if err != nil {
				return err
			}
			if q.Magnitude >= strong {
				tell("M %.1f  %s", q.Magnitude, q.Place)
			}
		}
		return b.Checkpoint(ctx)
	}
}

// A quake is what the two applications read of an event.
type quake struct {
	Network   string
	Magnitude float64
	Place     string
	Time      time.Time
}

func parseQuake(data []byte) (quake, error) {
	var event struct {
		Properties struct {
			Net   string  `json:"net"`
			Mag   float64 `json:"mag"`
			Place string  `json:"place"`
			Time  int64   `json:"time"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(data, &event); err != nil {
		return quake{}, fmt.Errorf("read earthquake: %w", err)
	}
	p := event.Properties
	return quake{Network: p.Net, Magnitude: p.Mag, Place: p.Place, Time: time.UnixMilli(p.Time).UTC()}, nil
}
