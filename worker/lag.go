package worker

import (
	"slices"
	"sync"
	"time"
)

// A lag measures how far a shard's processing is behind: the service says how far behind a page was when it was read,
// and as long as a page is not processed it ages by our own clock. No other machine's clock is compared with ours.
type lag struct {
	mu    sync.Mutex
	pages []pageLag // read and not processed, oldest first
	last  pageLag   // the newest page that was processed
}

type pageLag struct {
	behind  time.Duration // at the end of the page
	read    time.Time
	records int
}

// fetched notes a page. One without records is done when all before it are.
func (l *lag) fetched(p pageLag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pages) == 0 && p.records == 0 {
		l.last = p
		return
	}
	l.pages = append(l.pages, p)
}

// processed notes that the oldest page is done.
func (l *lag) processed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pages) == 0 {
		return
	}
	done := 1
	for done < len(l.pages) && l.pages[done].records == 0 {
		done++
	}
	l.last, l.pages = l.pages[done-1], slices.Delete(l.pages, 0, done)
}

// reset forgets pages that were read and will be read again.
func (l *lag) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pages = nil
}

// at is the lag at now. A shard whose newest page was empty and at the tip has none; one whose newest page was processed
// but left it behind is as far behind as that page said, and getting older.
func (l *lag) at(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pages {
		if p.records > 0 {
			return p.behind + now.Sub(p.read)
		}
	}
	if l.last.behind > 0 {
		return l.last.behind + now.Sub(l.last.read)
	}
	return 0
}
