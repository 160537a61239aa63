package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
)

var errConnection = errors.New("the connection is lost")

// A lossy is a connection to one server. Of a hundred requests it loses one, loses the answer to another, and has a third
// done only later, before somebody's next request, when its sender has given it up.
type lossy struct {
	to aws.HTTPClient

	mu   sync.Mutex
	rng  *rand.Rand
	late []*http.Request
}

// Do sends a request, or says that the connection is lost.
func (l *lossy) Do(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	fate := l.rng.IntN(100)
	late := l.late
	l.late = nil
	l.mu.Unlock()
	for _, before := range late {
		l.drop(before)
	}
	switch fate {
	case 0:
		return nil, errConnection
	case 1:
		l.drop(r)
		return nil, errConnection
	case 2:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))
		l.mu.Lock()
		l.late = append(l.late, r)
		l.mu.Unlock()
		return nil, errConnection
	}
	return l.to.Do(r)
}

// drop sends a request whose answer nobody gets.
func (l *lossy) drop(r *http.Request) {
	if answer, err := l.to.Do(r); err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
}
