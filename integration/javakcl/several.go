package main

import (
	"context"
	"errors"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
)

// several is case k.
func (c *campaign) several(ctx context.Context, r *result) error {
	return both(
		func() error { return c.streams(ctx, r, "k-java", true) },
		func() error { return c.streams(ctx, r, "k-go", false) },
	)
}

// streams lets a fleet of both read two streams, one of which is resharded, and a third from its first record on when it is
// told of it; then Java stops.
func (c *campaign) streams(ctx context.Context, r *result, name string, javaLeads bool) error {
	f, java, gopher, err := c.led(ctx, name, javaLeads, name+"-1", name+"-2")
	if err != nil {
		return err
	}
	defer f.Drop()
	from, all := time.Now(), shards+f.Shards
	if err := f.AddStream(ctx, name+"-3"); err != nil {
		return err
	}
	if err := errors.Join(f.Split(ctx, 0), f.Merge(ctx, 2, 3)); err != nil {
		return err
	}
	if err := f.Resharded(ctx, []int{4, 5, 6}, 2*time.Minute); err != nil {
		return err
	}
	if err := f.Flowing(ctx, all, c.followLimit()); err != nil {
		return err
	}
	r.millis(name[2:]+"_leads_new_stream_flows", time.Since(from))
	at, err := java.Stop(ctx)
	if err != nil {
		return err
	}
	var rows []fleet.Row
	err = f.WaitRows(ctx, "go owns all", c.takeOverLimit(), func(now []fleet.Row) bool {
		rows = now
		return len(fleet.Keys(rows, gopher.Name)) == all
	})
	if err != nil {
		return err
	}
	misnamed := f.Misnamed(rows)
	r.want(len(misnamed) == 0, "KCL would name leases otherwise: %v", misnamed)
	if err := f.Flowing(ctx, all, c.takeOverLimit(), gopher.Name); err != nil {
		return err
	}
	o, err := r.finish(ctx, f, from)
	r.millis(name[2:]+"_led_gap_after_java_stops", o.LongestGap(at).Length())
	return err
}

// followLimit bounds how long a new stream may stand still: each leader asks each minute which streams there are, and
// then begins it like an application.
func (c *campaign) followLimit() time.Duration { return time.Minute + c.startLimit() }
