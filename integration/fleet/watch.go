package fleet

import (
	"context"
	"fmt"
	"time"
)

// watch tells each change of the leader and of who holds how many leases, until ctx ends.
func (f *Fleet) watch(ctx context.Context) {
	last := ""
	for {
		leader, err := f.Leader(ctx)
		if err == nil {
			var rows []Row
			rows, err = f.Rows(ctx)
			moving := 0
			for _, r := range rows {
				if r.CheckpointOwner != "" {
					moving++
				}
			}
			owned := map[string]int{}
			for _, r := range rows {
				owned[r.Owner]++
			}
			if now := fmt.Sprintf("leader %q, owned %v, moving %d", leader, owned, moving); err == nil && now != last {
				last = now
				f.say("%s", now)
			}
		}
		if Sleep(ctx, 2*pollTime) != nil {
			return
		}
	}
}

// startWatch begins to watch and returns what ends it.
func (f *Fleet) startWatch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.watch(ctx)
	}()
	return func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second): // a read that hangs must not keep the harness
		}
	}
}
