package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// A screen prints lines with the time since the start. On a terminal it keeps a status line below them that is
// rewritten in place; elsewhere the status is a line of its own now and then.
type screen struct {
	out     io.Writer
	columns int // of the terminal, 0 if it is none
	began   time.Time
	lines   chan string
	status  chan func() string
	closing chan struct{}
	closed  chan struct{}
	once    sync.Once
}

func newScreen(out io.Writer, columns int) *screen {
	s := &screen{
		out: out, columns: columns, began: time.Now(),
		lines: make(chan string), status: make(chan func() string),
		closing: make(chan struct{}), closed: make(chan struct{}),
	}
	go s.run()
	return s
}

// say prints a line.
func (s *screen) say(format string, args ...any) {
	text := fmt.Sprintf("%5.1fs  %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
	s.send(text)
}

// announce prints a line that stands out: something is done to the stream or the workers.
func (s *screen) announce(format string, args ...any) {
	text := fmt.Sprintf("%5.1fs  ── %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
	if s.columns > 0 {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	s.send(text)
}

func (s *screen) send(text string) {
	select {
	case s.lines <- text:
	case <-s.closed:
	}
}

// watch sets what the status line shows.
func (s *screen) watch(status func() string) {
	select {
	case s.status <- status:
	case <-s.closed:
	}
}

// close ends the status line. What is said later is not printed.
func (s *screen) close() {
	s.once.Do(func() { close(s.closing) })
	<-s.closed
}

// run alone writes to the terminal.
func (s *screen) run() {
	defer close(s.closed)
	every := 5 * time.Second
	if s.columns > 0 {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	status := func() string { return "" }
	for {
		select {
		case text := <-s.lines:
			s.print(text)
			if s.columns > 0 {
				s.draw(status())
			}
		case status = <-s.status:
		case <-tick.C:
			s.draw(status())
		case <-s.closing:
			s.print("")
			return
		}
	}
}

// clearLine returns to the start of the terminal's line and empties it.
const clearLine = "\r\x1b[K"

// print writes a line in place of the status line.
func (s *screen) print(text string) {
	if s.columns > 0 {
		text = clearLine + text
	}
	fmt.Fprintln(s.out, text)
}

// draw shows the status: in place on a terminal, else as one more line.
func (s *screen) draw(status string) {
	if status == "" {
		return
	}
	text := []rune(fmt.Sprintf("%5.1fs  %s", time.Since(s.began).Seconds(), status))
	if s.columns == 0 {
		fmt.Fprintln(s.out, string(text))
		return
	}
	fmt.Fprint(s.out, clearLine, string(text[:min(len(text), s.columns-1)]))
}
