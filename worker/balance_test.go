package worker

import (
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease/assign"
)

func TestALeaderGoesByItsConfig(t *testing.T) {
	w := &Worker{cfg: Config{
		LeaseDuration: 5 * time.Second, MaxLeases: 7, MaxThroughputKBps: 9, BalanceByCount: true,
		Balance: Balance{Threshold: 20, Dampening: 80, NoOvershoot: true, Alpha: 0.25, Handover: 20 * time.Second},
	}}
	want := assign.Config{
		Duration: 5 * time.Second, HandoverTimeout: 20 * time.Second, MaxLeases: 7, MaxThroughputKBps: 9, ByCount: true,
		Threshold: 20, Dampening: 80, NoOvershoot: true, Alpha: 0.25,
	}
	if got := w.assignment(); got != want {
		t.Errorf("it assigns by %+v, want %+v", got, want)
	}
	w.cfg.Balance.Handover = 0
	if got := w.assignment().HandoverTimeout; got != 30*time.Second {
		t.Errorf("by default a hand-over may take %v, want 30 s", got)
	}
}
