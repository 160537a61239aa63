package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/shoal-stream/shoal/localstream"
)

// A local is the server of layer 2: localstream on a disk whose power is cut now and then, also in the middle of a
// request. It is an HTTP client for the AWS SDK; answers are lost now and then.
type local struct {
	dice *dice

	mu    sync.Mutex // guards what follows
	disk  *vfs.MemFS
	next  *vfs.MemFS          // what a power cut has left of disk, until the server is started again
	srv   *localstream.Server // nil while there is none
	fuse  int                 // writes to the disk until the power is cut; 0: never
	blown chan struct{}       // closed when it is
	noise float64             // share of the answers that are lost
	calm  bool                // settled for good
	old   sync.WaitGroup      // servers that are being closed
}

const localDir = "data"

func newLocal(d *dice) *local { return &local{dice: d, disk: vfs.NewCrashableMem()} }

// start opens a server on what the disk has.
func (l *local) start() error {
	l.mu.Lock()
	if l.next != nil {
		l.disk, l.next = l.next, nil
	}
	disk := l.disk
	l.mu.Unlock()
	watched := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			l.wrote(disk)
		}
		return nil
	}))
	srv, err := localstream.Open(localDir, localstream.Options{FS: watched})
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.srv = srv
	return nil
}

// cutAfter makes the power go after so many writes to the disk; the returned channel is closed then.
func (l *local) cutAfter(writes int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fuse, l.blown = writes, make(chan struct{})
	return l.blown
}

// wrote notes a write that is about to be made to a disk.
func (l *local) wrote(disk *vfs.MemFS) {
	l.mu.Lock()
	if l.fuse == 0 || disk != l.disk || l.srv == nil {
		l.mu.Unlock()
		return
	}
	l.fuse--
	cut := l.fuse == 0
	srv, blown := l.srv, l.blown
	if cut {
		l.srv = nil
	}
	l.mu.Unlock()
	if !cut {
		return
	}
	rng := rand.New(rand.NewPCG(l.dice.uint64(), 1))
	left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	l.mu.Lock()
	l.next = left
	l.mu.Unlock()
	l.old.Go(func() { _ = srv.Close() }) // its disk is nobody's any more
	close(blown)
}

// close ends the server.
func (l *local) close() error {
	l.mu.Lock()
	srv := l.srv
	l.srv, l.fuse = nil, 0
	l.mu.Unlock()
	l.old.Wait()
	if srv == nil {
		return nil
	}
	return srv.Close()
}

func (l *local) server() *localstream.Server {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.srv
}

// setNoise sets the share of the answers that are lost.
func (l *local) setNoise(share float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noise = share
}

// settle keeps the power on and loses no more answers.
func (l *local) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fuse, l.noise, l.calm = 0, 0, true
}

// quiet loses no answers and cuts no power until resume is called.
func (l *local) quiet() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	noise, fuse := l.noise, l.fuse
	l.noise, l.fuse = 0, 0
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.calm {
			return
		}
		l.noise = noise
		if l.fuse == 0 { // else somebody has set it anew
			l.fuse = fuse
		}
	}
}

// Do answers a request, unless the power is off, or goes meanwhile.
func (l *local) Do(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	srv, noise := l.srv, l.noise
	l.mu.Unlock()
	if srv == nil {
		return nil, errNetwork
	}
	res, err := srv.AWSConfig().HTTPClient.Do(req)
	if err == nil && (l.server() != srv || l.dice.chance(noise)) {
		err = errors.Join(errReset, res.Body.Close())
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// config is for SDK clients of the server.
func (l *local) config() aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://localhost"),
		Credentials:  credentials.NewStaticCredentialsProvider("simulated", "simulated", ""),
		HTTPClient:   l,
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}
