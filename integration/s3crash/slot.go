package main

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A slot is the place of an archiver; when it is killed another one takes the place.
type slot struct {
	scene  *scene
	number int
	proxy  *aimed // its way to the S3 server
	made   int    // processes so far

	mu      sync.Mutex // between the scene and the timer of a stop
	process *process
	stopped *time.Timer // what will let it go on; nil while it runs
	failed  error       // of a signal that the timer sent
	adopted int         // by the processes that have ended
}

// start starts a process, under a name that no other had.
func (s *slot) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	name := fmt.Sprintf("archiver-%d-%d", s.number, s.made)
	var err error
	s.process, err = start(name, filepath.Join(s.scene.dir, fmt.Sprintf("archiver-%d.log", s.number)),
		s.scene.programs.archiver, credentialsEnv, append(s.scene.arguments(s.proxy.URL), "-worker", name)...)
	return err
}

// kill kills the process and starts another.
func (s *slot) kill() error {
	s.end()
	return s.start()
}

// end kills the process.
func (s *slot) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped != nil {
		s.stopped.Stop()
		s.stopped = nil
	}
	if s.process == nil {
		return
	}
	s.process.kill()
	s.adopted += s.process.count()
	s.process = nil
}

// suspend stops the process (SIGSTOP) and lets it go on after d. It reports false if it is stopped already.
func (s *slot) suspend(d time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped != nil {
		return false, nil
	}
	if err := s.process.signal(syscall.SIGSTOP); err != nil {
		return false, err
	}
	s.stopped = time.AfterFunc(d, func() {
		if err := s.resume(); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failed = err
		}
	})
	return true, nil
}

// resume lets a stopped process go on.
func (s *slot) resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	if s.stopped == nil {
		return nil
	}
	s.stopped.Stop()
	s.stopped = nil
	return s.process.signal(syscall.SIGCONT)
}

// isStopped reports whether the process is stopped now.
func (s *slot) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped != nil
}

// stop asks the process to end and waits until it has.
func (s *slot) stop() error {
	if err := s.process.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.process.done:
	case <-time.After(time.Minute):
		return fmt.Errorf("%s has not ended within a minute\n%s", s.process.name, s.process.tail())
	}
	if code := s.process.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s: exit status %d\n%s", s.process.name, code, s.process.tail())
	}
	s.adopted += s.process.count()
	s.process = nil
	return nil
}
