package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/proxy"
)

// An aimed proxy stands between an archiver and the S3 server and loses what it is told to lose.
type aimed struct {
	*proxy.Proxy

	mu     sync.Mutex
	fates  []proxy.Fate // of the next requests that make objects
	strike bool         // the first of them is what somebody waits for
	count  int
}

// What happens to a request.
var (
	loseRequest = proxy.Fate{Loss: proxy.Request}
	loseAnswer  = proxy.Fate{Loss: proxy.Answer}
	late        = proxy.Fate{Loss: proxy.Late, Delay: lateness}
)

// lateness is how long a late request takes: the client has given up, and another process has the shard.
const lateness = 4 * time.Second

func newProxy(target string) (*aimed, error) {
	a := &aimed{}
	var err error
	a.Proxy, err = proxy.New(proxy.Options{Target: target, Fate: a.next})
	return a, err
}

// arm plans the fate of a request.
func (a *aimed) arm(f proxy.Fate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fates = append(a.fates, f)
}

// moment plans the loss of an answer and returns what tells when the object is there and the archiver does not know.
func (a *aimed) moment() <-chan int {
	struck := make(chan int, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.strike = true
	a.fates = append([]proxy.Fate{{Loss: proxy.Answer, Answered: func(ctx context.Context) {
		struck <- 1
		<-ctx.Done() // the archiver is killed, or it gives up
	}}}, a.fates...)
	return struck
}

// forget takes back what moment planned, if it has not come.
func (a *aimed) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.strike {
		a.strike, a.fates = false, a.fates[1:]
	}
}

// lost is how many requests and answers were lost so far.
func (a *aimed) lost() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

// next is what happens to a request.
func (a *aimed) next(r *http.Request) proxy.Fate {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.fates) == 0 || r.Header.Get("If-None-Match") == "" {
		return proxy.Fate{}
	}
	f := a.fates[0]
	a.fates, a.strike = a.fates[1:], false
	a.count++
	return f
}
