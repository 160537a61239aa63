package calm

import (
	"context"
	"runtime"
	"sync"
	"time"
)

const (
	probe = time.Second     // how long all processors are kept busy to see whether they are to be had
	pause = 5 * time.Second // between two looks
)

// A Patience is for how long one is ready to wait, in all, for other machines to become quiet.
type Patience struct {
	Left    time.Duration
	Waiting func(stolen float64) // called when a wait begins, with the share that is stolen; optional

	look func() float64 // in place of stolenNow, for tests
}

// Wait returns when less than the share limit of the processors' time is stolen from a program that wants them all, when
// the patience is at its end, or with ctx.
func (p *Patience) Wait(ctx context.Context, limit float64) {
	look := p.look
	if look == nil {
		look = stolenNow
	}
	for told := false; p.Left > 0 && ctx.Err() == nil; told = true {
		began := time.Now()
		stolen := look()
		if stolen <= limit {
			return
		}
		if !told && p.Waiting != nil {
			p.Waiting(stolen)
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(pause, p.Left)):
		}
		p.Left -= time.Since(began)
	}
}

// stolenNow keeps all processors busy for a while and measures how much of them was elsewhere.
func stolenNow() float64 {
	var spinning sync.WaitGroup
	before := Read()
	for range runtime.GOMAXPROCS(0) {
		spinning.Go(func() {
			for end := time.Now().Add(probe); time.Now().Before(end); {
			}
		})
	}
	spinning.Wait()
	return Read().Since(before).Stolen
}
