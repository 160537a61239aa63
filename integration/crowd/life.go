package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/integration/proxy"
)

// A life is one process of a worker, with its way to the server.
type life struct {
	crowd  *crowd
	name   string
	slot   int
	number int // over the run, from 1
	begun  time.Time
	worker *fleet.Worker
	proxy  *proxy.Proxy

	// Read from the worker when all is over.
	asked time.Time // to stop; zero if it was not
	told  []fleet.Event

	mu      sync.Mutex
	random  *rand.Rand
	severed severed
}

// A severed says what a worker cannot reach, and until when.
type severed struct {
	until         time.Time
	table, stream bool
	silent        bool // requests hang, where otherwise connections are reset at once
}

// newLife makes a worker's way to the server.
func (c *crowd) newLife(name string, slot int) (*life, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &life{crowd: c, name: name, slot: slot, number: len(c.lives) + 1, begun: time.Now()}
	l.random = c.random(uint64(1000 + l.number))
	var err error
	l.proxy, err = proxy.New(proxy.Options{Target: c.site.URL, Fate: l.fate, Seen: func(call proxy.Call) { c.table.seen(l.number, call) }})
	if err != nil {
		return nil, err
	}
	c.lives = append(c.lives, l)
	return l, nil
}

func (c *crowd) closeProxies() {
	for _, l := range c.lives {
		l.proxy.Close()
	}
}

// event is one of the worker's.
func (l *life) event(at time.Time, k invariant.Kind) invariant.Event {
	return invariant.Event{At: at, Kind: k, Worker: l.name, Life: l.number}
}

// sever cuts a worker off from the table, the stream or both for up to twice the lease.
func (c *crowd) sever(ctx context.Context, random *rand.Rand) error {
	c.mu.Lock()
	victim := c.lives[max(0, len(c.lives)-1-random.IntN(workers))]
	c.mu.Unlock()
	d := 300*time.Millisecond + time.Duration(random.Int64N(int64(2*leaseTime)))
	what, now := 1+random.IntN(3), time.Now()
	cut := severed{until: now.Add(d), table: what&1 != 0, stream: what&2 != 0, silent: random.IntN(2) == 0}
	victim.mu.Lock()
	victim.severed = cut
	victim.mu.Unlock()
	c.fleet.Note("%s is cut off for %v (table %t, stream %t, silently %t)", victim.name, d, cut.table, cut.stream, cut.silent)
	e := victim.event(now, invariant.Fault)
	e.Note, e.For = "severed", d
	c.happened(e, func(n *counts) { n.severs++ })
	return fleet.Sleep(ctx, d)
}

// fate is what becomes of one of the worker's requests.
func (l *life) fate(r *http.Request) proxy.Fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.draw(strings.HasPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB"))
	l.crowd.sent.Add(1)
	if f != (fate{}) {
		l.crowd.hit.Add(1)
	}
	return proxy.Fate{Delay: f.delay, Loss: f.loss}
}

// A fate is a proxy.Fate that can be compared.
type fate struct {
	delay time.Duration
	loss  proxy.Loss
}

// draw draws a request's fate: about one in thirty is disturbed.
func (l *life) draw(table bool) fate {
	if l.crowd.down.Load() {
		return fate{loss: proxy.Request}
	}
	if l.crowd.quiet.Load() {
		return fate{}
	}
	if left := time.Until(l.severed.until); left > 0 && (table && l.severed.table || !table && l.severed.stream) {
		if l.severed.silent {
			return fate{left, proxy.Request}
		}
		return fate{loss: proxy.Request}
	}
	some := func(limit time.Duration) time.Duration { return time.Duration(l.random.Int64N(int64(limit))) }
	switch l.random.IntN(300) {
	case 0, 1:
		return fate{loss: proxy.Request}
	case 2, 3:
		return fate{loss: proxy.Answer}
	case 4:
		return fate{loss: proxy.Part}
	case 5:
		return fate{some(3 * time.Second), proxy.Late}
	case 6:
		return fate{some(2 * time.Second), proxy.Request}
	case 7:
		return fate{delay: some(3 * time.Second)}
	case 8, 9:
		return fate{delay: some(300 * time.Millisecond)}
	default:
		return fate{}
	}
}
