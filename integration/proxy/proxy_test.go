package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestEachFateReachesClientAndServer(t *testing.T) {
	for _, test := range []struct {
		name     string
		fate     Fate
		got      string // by the client
		reset    bool
		served   bool
		answered bool
	}{
		{name: "nothing", got: "you said hello there", served: true},
		{name: "a delay", fate: Fate{Delay: time.Millisecond}, got: "you said hello there", served: true},
		{name: "the request is lost", fate: Fate{Loss: Request}, reset: true},
		{name: "the answer is lost", fate: Fate{Loss: Answer}, reset: true, served: true, answered: true},
		{name: "half of the answer is lost", fate: Fate{Loss: Part}, got: "you said h", reset: true, served: true, answered: true},
		{name: "late", fate: Fate{Loss: Late, Delay: time.Millisecond}, reset: true, served: true, answered: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var served, seen atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				served.Add(1)
				_, _ = io.WriteString(w, "you said "+string(body)+" "+r.Header.Get("To"))
			}))
			defer server.Close()
			answered := make(chan bool, 1)
			fate := test.fate
			fate.Answered = func(context.Context) { answered <- true }
			p, err := New(Options{
				Target: server.URL, Fate: func(*http.Request) Fate { return fate },
				Seen: func(c Call) {
					if string(c.Body) == "hello" && string(c.Answer) == "you said hello there" && c.Status == 200 && c.Header.Get("To") == "there" {
						seen.Add(1)
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := post(t.Context(), p.URL)
			p.Close()
			if got != test.got || errors.Is(err, syscall.ECONNRESET) != test.reset || err != nil && !test.reset {
				t.Errorf("the client got %q, %v", got, err)
			}
			if want := map[bool]int64{true: 1}[test.served]; served.Load() != want || seen.Load() != want {
				t.Errorf("the server had %d calls, %d were seen; want %d", served.Load(), seen.Load(), want)
			}
			if test.answered && len(answered) == 0 {
				t.Error("Answered was not called")
			}
		})
	}
}

func TestALateRequestComesAlthoughTheClientHasGone(t *testing.T) {
	served := make(chan bool, 1)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served <- true }))
	defer server.Close()
	for _, loss := range []Loss{Late, Answer} {
		p, err := New(Options{Target: server.URL, Fate: func(*http.Request) Fate { return Fate{Delay: 200 * time.Millisecond, Loss: loss} }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := post(ctx, p.URL); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the client did not give up: %v", err)
		}
		cancel()
		if loss == Late {
			<-served // or the test's own deadline
		}
		p.Close()
		if len(served) > 0 {
			t.Error("a request whose client has gone was served")
		}
	}
}

func TestACallWithoutAnAnswerIsSeen(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	seen := make(chan Call, 10)
	p, err := New(Options{Target: server.URL, Seen: func(c Call) { seen <- c }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got, err := post(t.Context(), p.URL); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %q, %v", got, err)
	}
	if c := <-seen; c.Status != 0 || string(c.Body) != "hello" || c.Answer != nil || c.At.Before(c.Sent) {
		t.Errorf("seen: %+v", c)
	}
}

func TestARequestThatIsUnderWayIsAnsweredAlthoughTheClientHasGone(t *testing.T) {
	served, gone := make(chan bool), make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		served <- true
		<-gone
		_, _ = io.WriteString(w, "done")
	}))
	defer server.Close()
	seen := make(chan Call, 1)
	p, err := New(Options{Target: server.URL, Seen: func(c Call) { seen <- c }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-served; cancel() }()
	if _, err := post(ctx, p.URL); !errors.Is(err, context.Canceled) {
		t.Errorf("the client did not give up: %v", err)
	}
	close(gone)
	if c := <-seen; c.Status != 200 || string(c.Answer) != "done" {
		t.Errorf("seen: %+v", c)
	}
}

func post(ctx context.Context, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/path?q=1", strings.NewReader("hello"))
	if err != nil {
		return "", err
	}
	r.Header.Set("To", "there")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}
