// Package fleet runs applications of real processes for harnesses that measure them: a localstream process, streams into
// which records flow all the time, workers of Shoal (goworker) and of the Java KCL (integration/kclworker) that share a
// lease table, and figures of what became of the records, computed by integration/check.
//
//	site, err := fleet.Open(ctx, folder, kclworker.Newest)
//	f, err := site.NewFleet(ctx, fleet.Config{Name: "a", Shards: 8, Lease: 3 * time.Second})
//	java, err := f.Java(ctx, "java-1")
//	...
//	figures, err := f.Finish(ctx)
package fleet

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/integration/install"
	"github.com/shoal-stream/shoal/integration/kclworker"
	"github.com/shoal-stream/shoal/internal/plainbody"
)

const module = "github.com/shoal-stream/shoal/"

// A Site is a localstream process and the programs of workers.
type Site struct {
	URL     string
	Kinesis *kinesis.Client
	Tables  *dynamodb.Client

	folder string
	data   string // the server's directory, "" if it keeps everything in memory
	addr   string // of the server, from its first start on
	server *exec.Cmd
	log    *os.File

	mu      sync.Mutex
	classes map[string]string     // class paths by KCL version
	idle    map[string][]*process // JVMs that wait, by KCL version
	jvms    []*process            // all that were started
}

// Open builds the programs, starts the server, without limits and in memory, and prepares Java workers of the given
// versions of KCL. Logs and output go to folder.
func Open(ctx context.Context, folder string, versions ...string) (*Site, error) {
	return (&Site{folder: folder}).open(ctx, versions...)
}

// OpenOnDisk is Open with a server that keeps its data in folder, so that it can be killed and started again. There are
// no Java workers.
func OpenOnDisk(ctx context.Context, folder string) (*Site, error) {
	return (&Site{folder: folder, data: filepath.Join(folder, "data")}).open(ctx)
}

func (s *Site) open(ctx context.Context, versions ...string) (*Site, error) {
	s.classes, s.idle = map[string]string{}, map[string][]*process{}
	err := install.Command(ctx, "go", "build", "-o", s.folder+string(filepath.Separator),
		module+"localstream/cmd/localstream", module+"integration/fleet/goworker")
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if s.classes[v], err = kclworker.Install(ctx, v); err != nil {
			return nil, err
		}
	}
	if s.log, err = os.Create(filepath.Join(s.folder, "localstream.log")); err != nil {
		return nil, err
	}
	if err := s.StartServer(); err != nil {
		return nil, errors.Join(err, s.log.Close())
	}
	config := aws.Config{
		Region: "us-east-1", BaseEndpoint: &s.URL, HTTPClient: plainbody.Wrap(http.DefaultClient),
		Credentials: credentials.NewStaticCredentialsProvider("localstream", "localstream", ""),
	}
	s.Kinesis, s.Tables = kinesis.NewFromConfig(config), dynamodb.NewFromConfig(config)
	return s, nil
}

// startLimit bounds how long the server may find its address taken: while nobody listens there, the system may give the
// port to somebody's connection.
const startLimit = 20 * time.Second

// StartServer starts the server, as Open has done, after KillServer. It is at the same address then.
func (s *Site) StartServer() error {
	for began := time.Now(); ; {
		said, err := s.log.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if err = s.serve(); err == nil {
			return nil
		}
		words, _ := io.ReadAll(io.NewSectionReader(s.log, said, 1<<20)) // what it says is more important
		if !bytes.Contains(words, []byte("address already in use")) || time.Since(began) > startLimit {
			return err
		}
		time.Sleep(pollTime)
	}
}

func (s *Site) serve() error {
	args := []string{"serve", "-limits", "off", "-addr", cmp.Or(s.addr, "127.0.0.1:0"), "-memory"}
	if s.data != "" {
		args = append(args[:len(args)-1], "-data", s.data)
	}
	s.server = exec.Command(filepath.Join(s.folder, "localstream"), args...)
	s.server.Stderr = s.log
	out, err := s.server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.server.Start(); err != nil {
		return fmt.Errorf("start localstream: %w", err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			if s.addr == "" {
				s.addr, s.URL = addr, "http://"+addr
			}
			return nil
		}
	}
	return errors.Join(fmt.Errorf("localstream ended before it was ready; see %s", s.log.Name()), s.server.Wait())
}

// KillServer ends the server with SIGKILL.
func (s *Site) KillServer() error {
	if err := s.server.Process.Kill(); err != nil {
		return fmt.Errorf("kill localstream, which should run: %w; see %s", err, s.log.Name())
	}
	_ = s.server.Wait() // it says that it was killed
	return nil
}

// Close ends the JVMs and the server.
func (s *Site) Close() error {
	s.mu.Lock()
	jvms := s.jvms
	s.mu.Unlock()
	for _, p := range jvms {
		p.kill()
	}
	_ = s.server.Process.Signal(syscall.SIGTERM)
	force := time.AfterFunc(10*time.Second, func() { _ = s.server.Process.Kill() })
	defer force.Stop()
	return errors.Join(s.server.Wait(), s.log.Close())
}

// Warm starts n JVMs for a version of KCL, so that workers need not wait for them.
func (s *Site) Warm(version string, n int) error {
	for range n {
		p, err := s.newJVM(version)
		if err != nil {
			return err
		}
		s.putJVM(version, p)
	}
	return nil
}

func (s *Site) newJVM(version string) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("jvm-%s-%d", version, len(s.jvms)+1)
	p, err := launch(name, kclworker.Command(s.classes[version]), filepath.Join(s.folder, name+".log"))
	if err != nil {
		return nil, err
	}
	s.jvms = append(s.jvms, p)
	return p, nil
}

func (s *Site) putJVM(version string, p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle[version] = append(s.idle[version], p)
}

// takeJVM gives a JVM that waits for commands.
func (s *Site) takeJVM(ctx context.Context, version string) (*process, error) {
	s.mu.Lock()
	var p *process
	if idle := s.idle[version]; len(idle) > 0 {
		p, s.idle[version] = idle[0], idle[1:]
	}
	s.mu.Unlock()
	if p == nil {
		var err error
		if p, err = s.newJVM(version); err != nil {
			return nil, err
		}
	}
	_, err := p.await(ctx, "idle", 0, time.Minute)
	return p, err
}

// Folder makes a run's folder: the one that was asked for, or if none was a temporary one whose name begins with prefix.
func Folder(asked, prefix string) (string, error) {
	if asked == "" {
		return os.MkdirTemp("", prefix+"-")
	}
	return asked, os.MkdirAll(asked, 0o755)
}
